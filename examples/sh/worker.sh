#!/bin/sh
# The smallest worker: answer.sh answers each connection, on its standard input
# and output, one after the other. A shell cannot accept a connection; Perl, which
# every Debian has, does that for it.
#
#     prefork run --workers 2 -- examples/sh/worker.sh
exec perl -e '
    open my $listener, "+<&=", 3 or die "no socket was passed on: start this by prefork run -- FILE\n";
    $SIG{TERM} = sub { $leaving = 1 };
    until ($leaving) {
        accept my $connection, $listener or next;
        open STDIN, "<&", $connection;
        open STDOUT, ">&", $connection;
        system @ARGV;
        open STDIN, "<", "/dev/null";
        open STDOUT, ">&", *STDERR;
    }' "$(dirname "$0")/answer.sh"
