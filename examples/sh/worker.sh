#!/bin/sh
# The smallest worker: answer.sh answers each connection, on its standard input
# and output, one after the other. A shell cannot accept a connection; Perl, which
# every Debian has, does that for it.
#
#     prefork run --workers 2 -- examples/sh/worker.sh
exec perl -e '
    open my $listener, "+<&=", 3 or die "no socket was passed on: start this by prefork run -- FILE\n";
    $SIG{TERM} = sub { $leaving = 1 };
    if (my $path = $ENV{NOTIFY_SOCKET}) {
        use Socket;
        socket my $notify, AF_UNIX, SOCK_DGRAM, 0;
        send $notify, "READY=1", 0, sockaddr_un($path);
    }
    until ($leaving) {
        accept my $connection, $listener or next;
        open STDIN, "<&", $connection;
        open STDOUT, ">&", $connection;
        system "timeout", 5, @ARGV; # nobody may hold the only line for longer
        open STDIN, "<", "/dev/null";
        open STDOUT, ">&", *STDERR;
    }' "$(dirname "$0")/answer.sh"
