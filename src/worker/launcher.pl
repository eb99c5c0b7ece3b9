#!/usr/bin/perl
# Starts programs for the agent and tells how they ended: see launcher.ts. To fork a process costs in proportion to its
# memory; this one has next to none.
#
# Asked on standard input: "ID WORDS INPUT\n", the lengths of what follows: words that each end with NUL (the environment,
# an empty one, the program and its arguments), and the program's input, which has to fit into a pipe. "ID\n" alone kills.
# Answers on standard output: "ID STATUS OUT ERR\n", with what the program wrote; the status is wait's.
use strict;
use warnings;

# Whatever this starts has it too: the answers end when this has ended and all that it started.
$^F = 99;
open my $held, '>&', \*STDOUT or die;
$^F = 2;

my $asked = '';
my %running;
# Signals to the agent's whole group are the agent's affair: this ends with its standard input.
my @SIGNALS = qw(PIPE INT TERM HUP QUIT);
$SIG{$_} = 'IGNORE' for @SIGNALS;
tell_all("ready\n");
while (1) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for 0, map { fileno $_->[0] } map { grep { $_->[0] } @{$_->{outputs}} } values %running;
  select($ready, undef, undef, undef);
  for my $id (keys %running) {
    for my $output (@{$running{$id}{outputs}}) {
      next unless $output->[0] && vec($ready, fileno $output->[0], 1);
      undef $output->[0] unless sysread $output->[0], $output->[1], 65536, length $output->[1];
    }
    ended($id) unless grep { $_->[0] } @{$running{$id}{outputs}};
  }
  next unless vec($ready, 0, 1);
  # Whoever asked is gone.
  exit unless sysread STDIN, $asked, 65536, length $asked;
  while ($asked =~ /^(\d+)(?: (\d+) (\d+))?\n/) {
    my ($id, $words, $input, $begin) = ($1, $2, $3, $+[0]);
    if (defined $words) {
      last if length $asked < $begin + $words + $input;
      start($id, substr($asked, $begin, $words), substr($asked, $begin + $words, $input));
      $begin += $words + $input;
    } elsif ($running{$id}) {
      kill 'KILL', $running{$id}{pid};
    }
    substr($asked, 0, $begin) = '';
  }
}

sub start {
  my ($id, $words, $input) = @_;
  my ($environment, $command) = $words =~ /^((?:[^\0]+\0)*)\0(.+)\0$/s or die;
  my @command = split /\0/, $command, -1;
  pipe my $in, my $to_in or die;
  pipe my $out, my $to_out or die;
  pipe my $err, my $to_err or die;
  syswrite $to_in, $input;
  close $to_in;
  my $pid = fork // die;
  if (!$pid) {
    $SIG{$_} = 'DEFAULT' for @SIGNALS;
    open STDIN, '<&', $in;
    open STDOUT, '>&', $to_out;
    open STDERR, '>&', $to_err;
    %ENV = map { split /=/, $_, 2 } split /\0/, $environment;
    no warnings 'exec';
    exec {$command[0]} @command;
    syswrite STDERR, "cannot run $command[0]: $!\n";
    exit 127;
  }
  $running{$id} = {pid => $pid, outputs => [[$out, ''], [$err, '']]};
}

sub ended {
  my ($id) = @_;
  my ($pid, $outputs) = @{delete $running{$id}}{'pid', 'outputs'};
  waitpid $pid, 0;
  my @texts = map { $_->[1] } @$outputs;
  tell_all(join(' ', $id, $?, map { length } @texts) . "\n" . join '', @texts);
}

sub tell_all {
  my ($text) = @_;
  while (length $text) {
    my $written = syswrite STDOUT, $text or exit;
    substr($text, 0, $written) = '';
  }
}
