exec start_server --port=80 --port 127.0.0.1:8080 --path=/run/a --interval=2 --signal-on-term=QUIT -- ./a {worker}
