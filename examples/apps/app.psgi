# The application of config/starlet.toml: it tells who answers.
sub {
    my $body = "hello generation=$ENV{BOOTSTRAP_GENERATION} pid=$$\n";
    return [200, ['Content-Length' => length $body], [$body]];
};
