/*
 * What the kernel alone asks for one answer: an epoll loop that answers whatever
 * it reads with one HTTP answer and does not parse it. A connection is accepted
 * when its request has come (TCP_DEFER_ACCEPT), read at once, and with "close"
 * closed again without ever having been in epoll, its end in one packet with the
 * answer.
 *
 *	floor IP PORT BODY [close]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 512, BACKLOG = 4096, ANSWER_MAX = 4096 };

static char answer[ANSWER_MAX];
static int answer_length, closing, loop;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void check(int result, const char *what)
{
	if (result < 0)
		die(what);
}

/* serve answers what has come; fresh says that the loop does not know fd yet. */
static void serve(int fd, int fresh)
{
	char request[4096];
	ssize_t n = read(fd, request, sizeof request);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(fd);
		return;
	}
	/* The last answer travels with the end of the stream, which comes at once. */
	if (n > 0 && (send(fd, answer, answer_length, closing ? MSG_MORE : 0) != answer_length || closing)) {
		close(fd);
		return;
	}
	if (fresh) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
		check(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	}
}

static void accept_all(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return; /* none is left, or no descriptor: epoll says it again */
		serve(fd, 1);
	}
}

static int listen_on(const char *ip, int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	check(fd, "socket");
	if (inet_pton(AF_INET, ip, &at.sin_addr) != 1) {
		fprintf(stderr, "floor: %s is no IPv4 address\n", ip);
		exit(2);
	}
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
	check(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on), "TCP_DEFER_ACCEPT");
	check(bind(fd, (struct sockaddr *)&at, sizeof at), "bind");
	check(listen(fd, BACKLOG), "listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX], event = { .events = EPOLLIN };

	if (argc < 4) {
		fprintf(stderr, "usage: floor IP PORT BODY [close]\n");
		return 2;
	}
	/* The date stands still: that it has the length of one is all that counts. */
	answer_length = snprintf(answer, sizeof answer,
		"HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(argv[3]), argv[3]);
	if (answer_length >= ANSWER_MAX) {
		fprintf(stderr, "floor: a body of %zu bytes is too long\n", strlen(argv[3]));
		return 2;
	}
	closing = argc > 4;
	check(loop = epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	event.data.fd = listen_on(argv[1], atoi(argv[2]));
	check(epoll_ctl(loop, EPOLL_CTL_ADD, event.data.fd, &event), "epoll_ctl");
	for (;;) {
		int n = epoll_wait(loop, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == event.data.fd)
				accept_all(event.data.fd);
			else
				serve(events[i].data.fd, 0);
		}
	}
}
