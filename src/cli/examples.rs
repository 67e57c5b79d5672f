//! What stands below the options in the help of each command: lines that can be typed.

/// Examples of a command; nothing for one that has none.
pub(super) fn of(command: &str) -> Option<&'static str> {
    let (_, examples) = EXAMPLES.iter().find(|(name, _)| *name == command)?;
    Some(examples)
}

const EXAMPLES: [(&str, &str); 19] = [
    (
        "check",
        "Examples:
  bootstrap -c services.toml check
  bootstrap -c services.toml check --json | jq '.mistakes[]'",
    ),
    (
        "status",
        "Examples:
  bootstrap -c services.toml status
  bootstrap -c services.toml status web
  bootstrap -c services.toml status 'api-*' --json
  bootstrap -c services.toml status --names",
    ),
    (
        "plan",
        "Examples:
  bootstrap -c services.toml plan",
    ),
    (
        "reload",
        "Examples:
  bootstrap -c services.toml reload
  bootstrap -c services.toml reload --timeout 2m",
    ),
    (
        "restart",
        "Examples:
  bootstrap -c services.toml restart
  bootstrap -c services.toml restart web 'api-*' --timeout 2m
  BOOTSTRAP_SELECT=web bootstrap -c services.toml restart --no-wait",
    ),
    (
        "start",
        "Examples:
  bootstrap -c services.toml start web",
    ),
    (
        "stop",
        "Examples:
  bootstrap -c services.toml stop web",
    ),
    (
        "hold",
        "Examples:
  bootstrap -c services.toml hold web",
    ),
    (
        "release",
        "Examples:
  bootstrap -c services.toml release web",
    ),
    (
        "wait",
        "Examples:
  bootstrap -c services.toml wait --timeout 30s
  bootstrap -c services.toml wait web",
    ),
    (
        "signal",
        "Examples:
  bootstrap -c services.toml signal HUP web
  bootstrap -c services.toml signal 10 'api-*'",
    ),
    (
        "upgrade",
        "Examples:
  bootstrap -c services.toml upgrade",
    ),
    (
        "events",
        "Examples:
  bootstrap -c services.toml events
  bootstrap -c services.toml events web | jq -r .message",
    ),
    (
        "logs",
        "Examples:
  bootstrap -c services.toml logs web
  bootstrap -c services.toml logs -f -n 100 'api-*'",
    ),
    (
        "metrics",
        "Example, as the supervisor runs it, with the numbers of a socket and of a pipe behind it:
  bootstrap -c services.toml metrics 3 4",
    ),
    (
        "schema",
        "Example:
  bootstrap schema",
    ),
    (
        "completions",
        "Examples:
  bootstrap completions bash
  bootstrap completions zsh
  bootstrap completions fish",
    ),
    (
        "man",
        "Examples:
  bootstrap man bootstrap.toml | man -l -
  bootstrap man --output /usr/local/share/man",
    ),
    (
        "import",
        "Examples:
  bootstrap import supervisord /etc/supervisor/conf.d/web.conf
  bootstrap import systemd web.service web.socket",
    ),
];
