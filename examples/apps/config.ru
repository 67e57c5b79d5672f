# The application of config/puma.toml: it tells who answers.
body = "hello generation=#{ENV.fetch('BOOTSTRAP_GENERATION')} pid=#{Process.pid}\n"
run ->(_env) { [200, { 'Content-Length' => body.bytesize.to_s }, [body]] }
