# What a hostile job tries with: `udp SOURCE DESTINATION TEXT`, `tcp DESTINATION PORT` (says open, refused or silent),
# `raw HEX` (a frame out of eth0), `listen PORT` (accepts for 20 s).
use strict;
use Socket qw(:DEFAULT :addrinfo inet_pton);

my ($what, @args) = @ARGV;
sub address {
  my ($host, $port, $type) = @_;
  my ($error, $first) = getaddrinfo($host, $port, {socktype => $type, flags => AI_NUMERICHOST});
  die "$host: $error\n" if $error;
  return $first;
}
if ($what eq 'udp') {
  my ($source, $destination, $text) = @args;
  my ($from, $to) = (address($source, 0, SOCK_DGRAM), address($destination, 7001, SOCK_DGRAM));
  socket(my $s, $to->{family}, SOCK_DGRAM, 0) or die "socket: $!\n";
  bind($s, $from->{addr}) or die "bind $source: $!\n";
  send($s, $text, 0, $to->{addr}) or die "send: $!\n";
} elsif ($what eq 'tcp') {
  my $to = address(@args, SOCK_STREAM);
  socket(my $s, $to->{family}, SOCK_STREAM, 0) or die "socket: $!\n";
  $SIG{ALRM} = sub { print "silent\n"; exit };
  alarm 1;
  print connect($s, $to->{addr}) ? "open\n" : $!{ECONNREFUSED} ? "refused\n" : "silent\n";
} elsif ($what eq 'listen') {
  socket(my $s, PF_INET6, SOCK_STREAM, 0) or die "socket: $!\n";
  bind($s, pack_sockaddr_in6($args[0], inet_pton(AF_INET6, '::'))) or die "bind: $!\n";
  listen($s, 5) or die "listen: $!\n";
  alarm 20;
  while (accept(my $c, $s)) { close $c }
} elsif ($what eq 'raw') {
  socket(my $s, 17, 3, 0) or die "no raw socket: $!\n";
  my ($index) = `ip -o link show dev eth0` =~ /^(\d+):/;
  bind($s, pack('S n i S C C a8', 17, 0, $index, 0, 0, 0, '')) or die "bind: $!\n";
  syswrite($s, pack('H*', $_)) or die "write: $!\n" for @args;
}
