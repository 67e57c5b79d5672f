//! Files of other supervisors: those that Debian's packages bring, and some as people write them.

mod support;

use bootstrap::config::{parse, tables};
use bootstrap::import::{Input, Origin, import};
use bootstrap::limits::DURATION_MAX;
use bootstrap::plan::{
    Address, Definition, Handshake, Keeping, Outlet, Output, Plan, Ready, Restart, RestartOrder,
};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::Stage;

fn ours(origin: Origin, inputs: &[(&str, &str)]) -> String {
    let inputs: Vec<Input> = inputs
        .iter()
        .map(|(name, text)| Input { name: (*name).into(), directory: String::new(), text: (*text).into() })
        .collect();
    let keys: Vec<&str> = tables().iter().flat_map(|table| &table.keys).map(|key| key.name).collect();
    import(origin, &inputs, &keys).unwrap_or_else(|none| panic!("{none}:\n{inputs:#?}"))
}

#[track_caller]
fn plan(text: &str) -> Plan {
    parse("ours.toml", text).unwrap_or_else(|refused| panic!("{}\n{text}", refused.render(false)))
}

#[track_caller]
fn only(text: &str) -> Definition {
    let plan = plan(text);
    assert_eq!(plan.services.len(), 1, "{text}");
    (*plan.services[0]).clone()
}

/// It is one service, or what is wrong with it is only that this machine lacks a user or a right.
#[track_caller]
fn fits_some_machine(text: &str) {
    match parse("ours.toml", text) {
        Ok(plan) => assert_eq!(plan.services.len(), 1, "{text}"),
        Err(refused) => {
            let of_machine = [
                "`user`",
                "`group`",
                "`supplementary_groups`",
                "`rlimits",
                "`capabilities`",
                "`nice`",
                "`oom_score_adjust`",
            ];
            for line in refused.lines() {
                assert!(of_machine.iter().any(|key| line.contains(key)), "{line}\n{text}");
            }
        }
    }
}

/// Does a key of a foreign file stand in ours: as a comment, or as what it has become?
#[track_caller]
fn assert_none_is_dropped(foreign: &str, ours: &str, become_ours: &[&str]) {
    for line in foreign.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '['])) {
        let Some((key, _)) = line.split_once('=') else { continue };
        let key = key.trim();
        assert!(become_ours.contains(&key) || ours.contains(&format!("{key}=")), "{key} is lost:\n{ours}");
    }
}

#[test]
fn a_program_of_supervisord_keeps_what_it_means() {
    let foreign = "[supervisord]\nlogfile=/tmp/a.log ; where\n\n\
         [program:Web App]\n\
         command=/srv/app --name %(program_name)s -n %(process_num)d '50%%' {port} ; the server\n\
         numprocs=3\nprocess_name=%(program_name)s_%(process_num)d\ndirectory=/srv\nautorestart=true\nstartsecs=2\n\
         stopsignal=QUIT\nstopwaitsecs=25\nkillasgroup=true\npriority=10\nstartretries=3\numask=027\nuser=www-data\nstdout_logfile=/var/log/app.log\n\
         environment=A=\"1, 2\",\n    B='x y',C=plain\n\
         [fcgi-program:php]\ncommand=php-cgi\nsocket=tcp://localhost:9000\nstartsecs=0\n";
    let text = ours(Origin::Supervisord, &[("supervisord.conf", foreign)]);
    let plan = plan(&text);
    let [web, php] = &plan.services[..] else { panic!("{text}") };
    assert_eq!(web.name.as_str(), "web-app");
    let command = ["/srv/app", "--name", "Web", "App", "-n", "{worker}", "50%", "{{port}}"];
    assert_eq!(web.program.command, command);
    assert_eq!(web.program.directory.as_deref(), Some(Path::new("/srv")));
    assert_eq!(web.program.identity.umask, Some(0o027));
    let env: Vec<_> = web.program.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=1, 2", "B=x y", "C=plain"]);
    let policy = &web.policy;
    assert_eq!((policy.workers, policy.restart, policy.stop_signal), (3, Restart::Always, libc::SIGQUIT));
    assert_eq!(
        (policy.drain_timeout, &policy.ready),
        (Duration::from_secs(25), &Ready::Delay(Duration::from_secs(2)))
    );
    assert_eq!((php.program.handshake, &php.policy.ready), (Handshake::Inetd, &Ready::Started));
    assert_eq!(php.policy.restart, Restart::OnFailure, "what supervisord does where nothing is said");
    assert_eq!(php.listeners[0].address, Address::Tcp(([127, 0, 0, 1], 9000).into()));
    for comment in [
        "# [supervisord]: has no counterpart",
        "#     logfile=/tmp/a.log",
        "# process_name=%(program_name)s_%(process_num)d: has no counterpart",
        "# priority=10: has no counterpart",
        "# startretries=3: has no counterpart",
    ] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
    assert!(!text.contains("killasgroup"), "it is what happens here:\n{text}");
    assert!(text.contains("\nuser = \"www-data\"\n"), "{text}");
    assert_eq!(web.program.output.as_ref().unwrap().stdout, Outlet::File("/var/log/app.log".into()));
}

/// `{worker}` has no width, and ports 8000 to 8003 are not 800 to 803.
#[test]
fn a_number_with_a_width_is_written_out_for_each_process() {
    let program = |keys: &str| {
        let text = ours(Origin::Supervisord, &[("s.conf", &format!("[program:t]\n{keys}\n"))]);
        let plan = plan(&text);
        let shape = |service: &Definition| {
            let env = service.program.env.get("N").cloned().unwrap_or_default();
            format!(
                "{} {} {env} x{}",
                service.name,
                service.program.command.join(" "),
                service.policy.workers
            )
        };
        plan.services.iter().map(|service| shape(service)).collect::<Vec<_>>()
    };
    for (keys, expected) in [
        (
            "command=/t 80%(process_num)02d\nnumprocs=3",
            &["t-0 /t 8000  x1", "t-1 /t 8001  x1", "t-2 /t 8002  x1"][..],
        ),
        ("command=/t %(process_num)d\nnumprocs=2\nnumprocs_start=9", &["t-9 /t 9  x1", "t-10 /t 10  x1"]),
        ("command=/t\nenvironment=N=\"%(process_num)02d\"\nnumprocs=2", &["t-0 /t 00 x1", "t-1 /t 01 x1"]),
        ("command=/t {%(process_num)d}\nnumprocs=2", &["t-0 /t {0}  x1", "t-1 /t {1}  x1"]),
        (
            "command=/t %(process_num)d\nenvironment=N=\"%(process_num)s\"\nnumprocs=2",
            &["t /t {worker} {worker} x2"],
        ),
        ("command=/t %(process_num)02d of %(numprocs)d", &["t /t 00 of 1  x1"]),
        ("command=/t\nnumprocs=4", &["t /t  x4"]),
        // A log file is one for all workers here.
        ("command=/t\nnumprocs=2\nstdout_logfile=/tmp/t%(process_num)d.log", &["t-0 /t  x1", "t-1 /t  x1"]),
    ] {
        assert_eq!(program(keys), expected, "{keys}");
    }
    // A socket cannot be that of several services.
    let shared = "[fcgi-program:t]\ncommand=/t %(process_num)02d\nnumprocs=2\nsocket=tcp://127.0.0.1:9\n[program:a]\ncommand=/a\n";
    let text = ours(Origin::Supervisord, &[("s.conf", shared)]);
    assert_eq!(only(&text).name.as_str(), "a");
    assert!(text.contains("#     command=/t %(process_num)02d\n"), "{text}");
}

#[test]
fn what_supervisord_would_expand_is_expanded_or_told() {
    let text = "[program:t]\ncommand=/t %(here)s/%(group_name)s %(ENV_OWN)s %(ENV_HOME)s %(host_node_name)s 5%%\n\
        environment=OWN=\"%(program_name)s1\",B=\"%(ENV_X)s\"\ndirectory=%(here)s\n";
    let input = Input { name: "s.conf".into(), directory: "/etc/s".into(), text: text.into() };
    let text = import(Origin::Supervisord, &[input], &[]).unwrap();
    let program = only(&text).program.clone();
    assert_eq!(
        program.command,
        ["/t", "/etc/s/t", "%(ENV_OWN)s", "%(ENV_HOME)s", "%(host_node_name)s", "5%"]
    );
    assert_eq!(program.env.get("OWN").map(String::as_str), Some("t1"));
    assert_eq!(program.directory.as_deref(), Some(Path::new("/etc/s")));
    for end in [
        "write what %(ENV_X)s stands for",
        "write what %(ENV_OWN)s and %(ENV_HOME)s and %(host_node_name)s stands for",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with('#') && line.ends_with(end)),
            "no {end:?} in\n{text}"
        );
    }
    // What the section itself says is known, once all of it is.
    let text = ours(
        Origin::Supervisord,
        &[("s.conf", "[program:t]\ncommand=/t %(ENV_OWN)s\nenvironment=OWN=\"a\"\n")],
    );
    assert_eq!(only(&text).program.command, ["/t", "a"]);
    let grouped = "[program:t]\ncommand=/t %(group_name)s\n[group:g]\nprograms=a, t\n";
    assert_eq!(only(&ours(Origin::Supervisord, &[("s.conf", grouped)])).program.command, ["/t", "g"]);
}

/// Who may reach the path of a socket there may reach it here, and nobody else.
#[test]
fn the_path_of_a_socket_keeps_who_may_reach_it() {
    let access = |text: &str| {
        let listeners = only(text).listeners;
        (
            listeners[0].settings.access.mode,
            listeners[0].settings.access.uid,
            listeners[0].settings.access.gid,
        )
    };
    let systemd = |keys: &str| {
        let socket = format!("[Socket]\n{keys}\n");
        ours(Origin::Systemd, &[("a.service", "[Service]\nExecStart=/bin/a\n"), ("a.socket", &socket)])
    };
    let fastcgi = |keys: &str| {
        ours(Origin::Supervisord, &[("s.conf", &format!("[fcgi-program:a]\ncommand=./a\n{keys}\n"))])
    };
    for (text, expected, told) in [
        (
            systemd("ListenStream=/run/a\nSocketMode=0660\nSocketUser=0\nSocketGroup=0"),
            (Some(0o660), Some(0), Some(0)),
            "",
        ),
        (systemd("ListenStream=/run/a"), (Some(0o666), None, None), ""),
        (systemd("ListenStream=/run/a\nSocketUser=0"), (Some(0o666), Some(0), None), "the group of its user"),
        (systemd("ListenStream=127.0.0.1:9\nSocketMode=0660"), (None, None, None), "SocketMode=0660: has no"),
        (
            systemd("ListenStream=/run/a\nSocketMode=01777"),
            (Some(0o666), None, None),
            "SocketMode=01777: has no",
        ),
        (
            fastcgi("socket=unix:///run/a\nsocket_mode=0660\nsocket_owner=0:0"),
            (Some(0o660), Some(0), Some(0)),
            "",
        ),
        (fastcgi("socket=unix:///run/a"), (Some(0o700), None, None), ""),
        (fastcgi("user=0\nsocket=unix:///run/a"), (Some(0o700), Some(0), None), "the group of its user"),
        (
            fastcgi("socket=tcp://127.0.0.1:9\nsocket_mode=0660"),
            (None, None, None),
            "socket_mode=0660: has no",
        ),
        (fastcgi("socket=unix:///run/a\nsocket_owner=%x"), (Some(0o700), None, None), "socket_owner=%x: see"),
    ] {
        assert_eq!(access(&text), expected, "{text}");
        assert!(text.contains(told) && (!told.is_empty() || !text.contains('#')), "{text}");
    }
    let text = systemd("ListenStream=[::]:9");
    assert!(text.contains("# a.socket: ListenStream=[::]:9: takes clients of IPv4 there, too"), "{text}");
}

#[test]
fn each_line_of_a_procfile_has_its_port() {
    let text = ours(
        Origin::Procfile,
        &[("Procfile", "web: puma\n# no\nnone:\nx y\nworker: A=1 go\napi: go $PORT\n")],
    );
    let plan = plan(&text);
    let ports: Vec<_> = plan.services.iter().map(|service| service.program.env["PORT"].clone()).collect();
    assert_eq!(ports, ["5000", "5100", "5200"], "{text}");
}

#[test]
fn units_that_come_along_keep_their_order() {
    let unit = |keys: &str| {
        format!("[Unit]\n{keys}\n[Service]\nExecStart=/bin/a\nMemoryMax=1G\nTasksMax=9\nCPUQuota=20%\n")
    };
    let a = unit("After=B.service network.target\nRequires=B.service\nAfter=B.service\nWants=B.service");
    let b = unit("After=a.service\nAfter=B.service\nRequires=c.service");
    let empty = "[Unit]\nAfter=a.service\n";
    let text = ours(Origin::Systemd, &[("a.service", &a), ("B.service", &b), ("c.service", empty)]);
    let plan = plan(&text);
    let names =
        |all: &[bootstrap::plan::ServiceName]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let [a, b] = &plan.services[..] else { panic!("{text}") };
    assert_eq!((names(&a.after), names(&a.requires)), (vec!["b".to_owned()], vec!["b".to_owned()]), "{text}");
    assert!(b.after.is_empty() && b.requires.is_empty(), "{text}");
    for comment in [
        "# [Unit] After=network.target: has no counterpart",
        "# [Unit] Wants=B.service: has no counterpart",
        "# [Unit] After=a.service: each would wait for the other",
        "# [Unit] After=B.service: each would wait for the other",
        "# [Unit] Requires=c.service: has no counterpart",
        "# [Unit] After=a.service: has no counterpart",
        "# MemoryMax=1G: see `cgroup`",
        "# TasksMax=9: see `cgroup`",
        "# CPUQuota=20%: see `cgroup`",
    ] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
}

/// The output of a service that has these keys there.
#[track_caller]
fn output(origin: Origin, name: &str, head: &str, keys: &str) -> (Option<Output>, String) {
    let text = ours(origin, &[(name, &format!("{head}\n{}\n", keys.replace("; ", "\n")))]);
    (only(&text).program.output.as_deref().cloned(), text)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what a service has, if anything")]
fn goes(stdout: Outlet, stderr: Outlet, keeping: Keeping) -> Option<Output> {
    Some(Output { stdout, stderr, keeping })
}

#[test]
fn what_a_program_of_supervisord_writes_goes_where_it_went() {
    let file = |name: &str| Outlet::File(format!("/tmp/{name}").into());
    let plain = Keeping { timestamps: false, ..Keeping::default() };
    let kept = |max_bytes, backups| Keeping { max_bytes, backups, ..plain };
    for (keys, expected, comment) in [
        ("stdout_logfile=/tmp/%(program_name)s.log", goes(file("a.log"), Outlet::Inherit, plain), ""),
        ("stdout_logfile=/tmp/a; redirect_stderr=true", goes(file("a"), file("a"), plain), ""),
        (
            "redirect_stderr=true; stdout_logfile=NONE",
            goes(Outlet::Null, Outlet::Null, Keeping::default()),
            "",
        ),
        ("stdout_logfile=/dev/stdout; stdout_logfile_maxbytes=0; stderr_logfile=/dev/fd/2", None, ""),
        (
            "stdout_logfile=/tmp/a; stdout_logfile_maxbytes=1MB; stdout_logfile_backups=3",
            goes(file("a"), Outlet::Inherit, kept(1 << 20, 3)),
            "",
        ),
        (
            "stderr_logfile=/tmp/a; stderr_logfile_maxbytes=0",
            goes(Outlet::Inherit, file("a"), kept(u64::MAX, 10)),
            "",
        ),
        (
            "stdout_logfile=/tmp/a; stderr_logfile=/tmp/b; stdout_logfile_backups=1; stderr_logfile_backups=2",
            goes(file("a"), file("b"), kept(50 << 20, 1)),
            "# stderr_logfile_backups=2: has no counterpart",
        ),
        (
            "stdout_syslog=true; stderr_syslog=true",
            goes(Outlet::Syslog, Outlet::Syslog, Keeping::default()),
            "",
        ),
        (
            "stdout_logfile=syslog; stderr_syslog=true",
            goes(Outlet::Syslog, Outlet::Syslog, Keeping::default()),
            "",
        ),
        ("stdout_logfile=AUTO", None, "# stdout_logfile=AUTO: has no counterpart"),
        ("stdout_logfile=%(here)s/a", None, "# stdout_logfile=%(here)s/a: has no counterpart"),
        ("stdout_logfile_maxbytes=100", None, "# stdout_logfile_maxbytes=100: has no counterpart"),
        ("stdout_capture_maxbytes=1MB", None, "# stdout_capture_maxbytes=1MB: has no counterpart"),
        (
            "stdout_logfile=/nowhere/a",
            None,
            "# stdout_logfile=/nowhere/a: stdout = \"file:/nowhere/a\", once its directory is there",
        ),
    ] {
        let (found, text) = output(Origin::Supervisord, "a.conf", "[program:a]\ncommand=./a", keys);
        assert_eq!(found, expected, "{text}");
        assert!(text.contains(comment) && (!comment.is_empty() || !text.contains('#')), "{text}");
    }
}

#[test]
fn what_a_unit_of_systemd_writes_goes_where_it_went() {
    let file = |name: &str| Outlet::File(format!("/tmp/{name}").into());
    let kept = Keeping { timestamps: false, max_bytes: u64::MAX, ..Keeping::default() };
    let usual = Keeping::default();
    for (keys, expected, comment) in [
        ("StandardOutput=journal", goes(Outlet::Journal, Outlet::Journal, usual), ""),
        ("StandardOutput=null; StandardError=journal", goes(Outlet::Null, Outlet::Journal, usual), ""),
        ("StandardError=null", goes(Outlet::Inherit, Outlet::Null, usual), ""),
        ("StandardOutput=append:/tmp/a; StandardError=inherit", goes(file("a"), file("a"), kept), ""),
        ("StandardOutput=append:/tmp/a; StandardError=append:/tmp/b", goes(file("a"), file("b"), kept), ""),
        (
            "StandardOutput=file:/tmp/a",
            goes(file("a"), file("a"), kept),
            "# StandardOutput=file:/tmp/a: ours goes on at the end of what is there",
        ),
        ("StandardOutput=tty", None, "# StandardOutput=tty: has no counterpart"),
        ("StandardOutput=append:/var/%n", None, "# StandardOutput=append:/var/%n: has no counterpart"),
    ] {
        let (found, text) = output(Origin::Systemd, "a.service", "[Service]\nExecStart=/bin/a", keys);
        assert_eq!(found, expected, "{text}");
        assert!(text.contains(comment) && (!comment.is_empty() || !text.contains('#')), "{text}");
    }
}

/// The sample has every key that there is, most of them commented out.
#[test]
fn the_sample_that_supervisor_prints_passes_with_every_key_in_it() {
    let output = Command::new("echo_supervisord_conf").output().expect("run tests/install");
    let sample = String::from_utf8(output.stdout).unwrap();
    let all: String = sample
        .lines()
        .map(|line| match line.strip_prefix(';') {
            Some(key)
                if key.starts_with('[') || key.split_once('=').is_some_and(|(k, _)| !k.contains(' ')) =>
            {
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    // It has a user that machines have.
    let all = all.replace("user=chrism", "user=nobody");
    let text = ours(Origin::Supervisord, &[("supervisord.conf", &all)]);
    assert!(!plan(&text).services.is_empty(), "{text}");
    let known = [
        "command",
        "user",
        "umask",
        "numprocs",
        "directory",
        "environment",
        "autorestart",
        "startsecs",
        "stopsignal",
        "stopwaitsecs",
        "stdout_logfile_maxbytes",
        "stdout_logfile_backups",
        "stderr_logfile_maxbytes",
        "stderr_logfile_backups",
        "stdout_syslog",
        "stderr_syslog",
        "redirect_stderr",
    ];
    let same = ["autostart", "process_name", "exitcodes", "socket"];
    assert_none_is_dropped(&all, &text, &[&known[..], &same].concat());
}

#[test]
fn a_procfile_is_its_lines() {
    let foreign = "# the site\nweb: bundle exec puma -C config/puma.rb -p ${PORT:-3000}\n\
                   worker: bundle exec sidekiq -q default\nRelease_Job: A=1 rake db:migrate && true\nnonsense\n";
    let text = ours(Origin::Procfile, &[("Procfile", foreign)]);
    let plan = plan(&text);
    let [web, worker, job] = &plan.services[..] else { panic!("{text}") };
    let line = "exec bundle exec puma -C config/puma.rb -p ${PORT:-3000}";
    assert_eq!(web.program.command, ["sh", "-c", line]);
    assert_eq!(web.program.env.get("PORT").map(String::as_str), Some("5000"));
    assert_eq!(worker.program.command, ["bundle", "exec", "sidekiq", "-q", "default"], "no shell between");
    assert_eq!(job.name.as_str(), "release_job");
    let named = ours(Origin::Procfile, &[("Procfile", "-web: run\n--: run\n")]);
    assert!(named.contains("name = \"web\"\n") && named.contains("name = \"service\"\n"), "{named}");
    assert_eq!(job.program.command, ["sh", "-c", "A=1 rake db:migrate && true"]);
    for comment in ["# the site", "# nonsense: is no line of a Procfile"] {
        assert!(text.contains(comment), "{text}");
    }
}

/// `exec` is no program, and `exec exec` starts one of that name.
#[test]
fn a_line_of_a_procfile_may_begin_with_exec() {
    for (line, expected) in [
        ("exec ./server -p 80", &["./server", "-p", "80"][..]),
        ("exec  ./server -p $PORT", &["sh", "-c", "exec ./server -p $PORT"]),
        ("exec\t./server", &["./server"]),
        ("exec ./a && true", &["sh", "-c", "exec ./a && true"]),
        ("executor a", &["executor", "a"]),
        ("exec -a web $X", &["sh", "-c", "exec -a web $X"]),
    ] {
        let text = ours(Origin::Procfile, &[("Procfile", &format!("web: {line}\n"))]);
        assert_eq!(only(&text).program.command, expected, "{text}");
    }
}

#[test]
fn a_service_of_systemd_takes_its_socket_along() {
    let service = "[Unit]\nDescription=The site\nAfter=network.target\n\n[Service]\nType=notify\n\
        ExecStart=/srv/app --opt 'a b' \\\n    --more\nExecStartPre=/bin/true\nUser=www-data\n\
        Environment=A=1 \"B=x y\"\nEnvironmentFile=/etc/app.env\nWorkingDirectory=/srv\nRestart=on-failure\n\
        RestartSec=45\nTimeoutStopSec=1min 5s\nTimeoutStartSec=20\nKillSignal=SIGQUIT\nPrivateTmp=yes\n\
        [Install]\nWantedBy=multi-user.target\n";
    let socket = "[Socket]\nListenStream=80\nListenStream=/run/app.sock\nBacklog=100\nSocketMode=0600\n";
    let text = ours(Origin::Systemd, &[("app.service", service), ("app.socket", socket)]);
    let app = only(&text);
    assert_eq!(app.program.command, ["/srv/app", "--opt", "a b", "--more"]);
    assert_eq!((app.program.handshake, &app.policy.ready), (Handshake::Systemd, &Ready::Word));
    assert_eq!(app.program.env_file.as_deref(), Some(Path::new("/etc/app.env")));
    assert_eq!(app.program.identity.user.as_ref().map(|user| &*user.name), Some("www-data"));
    let env: Vec<_> = app.program.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=1", "B=x y"]);
    assert_eq!(app.program.directory.as_deref(), Some(Path::new("/srv")));
    assert_eq!((app.policy.restart, app.policy.stop_signal), (Restart::OnFailure, libc::SIGQUIT));
    assert_eq!([app.policy.restart_delay, app.policy.restart_delay_max], [Duration::from_secs(45); 2]);
    assert_eq!(app.policy.drain_timeout, Duration::from_secs(65));
    assert_eq!(app.policy.ready_timeout, Duration::from_secs(20));
    let addresses: Vec<String> = app.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["tcp://0.0.0.0:80", "tcp://[::]:80", "unix:/run/app.sock"]);
    assert!(app.listeners.iter().all(|listener| listener.settings.backlog == Some(100)));
    let modes: Vec<_> = app.listeners.iter().map(|listener| listener.settings.access.mode).collect();
    assert_eq!(modes, [None, None, Some(0o600)]);
    for comment in [
        "# The site",
        "# [Unit] After=network.target: has no counterpart",
        "# ExecStartPre=/bin/true: has no counterpart",
        "# PrivateTmp=yes: has no counterpart",
        "# [Install] WantedBy=multi-user.target: has no counterpart",
        "# app.socket: ListenStream=80: is one socket for both versions of IP there, and two here: the descriptors behind it move by one",
    ] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
}

#[test]
fn what_systemd_says_in_other_words_is_said_in_ours() {
    for (keys, restart, comment) in [
        ("Restart=always", Restart::Always, ""),
        ("Restart=no", Restart::No, ""),
        ("", Restart::No, ""),
        ("Restart=on-abnormal", Restart::OnFailure, "# Restart=on-abnormal: has no counterpart"),
        ("Restart=on-success", Restart::No, "# Restart=on-success: has no counterpart"),
    ] {
        let text = ours(Origin::Systemd, &[("a.service", &format!("[Service]\nExecStart=/bin/a\n{keys}\n"))]);
        assert_eq!(only(&text).policy.restart, restart, "{text}");
        assert!(text.contains(comment) && (!comment.is_empty() || !text.contains('#')), "{text}");
    }
    let text = ours(Origin::Systemd, &[("a.service", "[Service]\nExecStart=/bin/a\nTimeoutSec=7min\n")]);
    let policy = only(&text).policy;
    assert_eq!([policy.ready_timeout, policy.drain_timeout], [Duration::from_secs(420); 2], "{text}");
}

/// A service that had all the time it needed to finish was cut off after a minute.
#[test]
fn a_service_has_as_long_to_end_as_systemd_gives_it() {
    for (keys, limit) in [
        ("", Duration::from_secs(90)),
        ("TimeoutStopSec=5", Duration::from_secs(5)),
        ("TimeoutStopSec=infinity", DURATION_MAX),
        ("TimeoutSec=0", DURATION_MAX),
    ] {
        let text = ours(Origin::Systemd, &[("a.service", &format!("[Service]\nExecStart=/bin/a\n{keys}\n"))]);
        assert_eq!(only(&text).policy.drain_timeout, limit, "{text}");
        assert!(!text.contains('#'), "{text}");
    }
}

/// What is left out is the limit of bootstrap, and what could not be set would refuse the whole file.
#[test]
fn what_may_be_missing_there_is_told() {
    let keys = "WorkingDirectory=-/srv/app\nLimitNOFILE=infinity\nLimitCORE=infinity\n";
    let text = ours(Origin::Systemd, &[("a.service", &format!("[Service]\nExecStart=/bin/a\n{keys}"))]);
    assert_eq!(only(&text).program.directory.as_deref(), Some(Path::new("/srv/app")), "{text}");
    assert!(text.contains("rlimits = { core = \"unlimited\" }\n"), "{text}");
    for comment in [
        "# WorkingDirectory=-/srv/app: see `directory`; ours has to be there",
        "# LimitNOFILE=infinity: see `rlimits`",
    ] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
}

#[test]
fn what_supervisord_says_of_all_its_programs_is_said_of_each() {
    let foreign = "[supervisord]\numask=027\nuser=nobody\ndirectory=/tmp\nenvironment=A=\"1\",B=2\n\
                   [program:a]\ncommand=/bin/a\n[program:b]\ncommand=/bin/b\numask=077\nenvironment=B=3\n";
    let text = ours(Origin::Supervisord, &[("supervisord.conf", foreign)]);
    let of = |service: &Definition| {
        let env: Vec<_> = service.program.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (env.join(" "), service.program.identity.umask)
    };
    for key in ["user = \"nobody\"\n", "directory = \"/tmp\"\n"] {
        assert_eq!(text.matches(key).count(), 2, "{text}");
    }
    let all: Vec<_> = plan(&text).services.iter().map(|service| of(service)).collect();
    assert_eq!(all, [("A=1 B=2".to_owned(), Some(0o027)), ("A=1 B=3".to_owned(), Some(0o077))], "{text}");
}

/// An override of `systemctl edit` takes the old command back with an empty `ExecStart=`; what was started was the old one.
#[test]
fn what_a_unit_takes_back_is_gone_and_drop_ins_are_of_their_unit() {
    let unit = "[Service]\nExecStart=/bin/old\nEnvironment=A=1\nEnvironment=B=100%%\n";
    let edited = "[Service]\nExecStart=\nExecStart=/bin/new\nEnvironment=\nEnvironment=C=3\n";
    let alone = only(&ours(Origin::Systemd, &[("a.service", &format!("{unit}{edited}"))]));
    let drop_in = |directory: &str, name: &str, text: &str| Input {
        name: name.into(),
        directory: directory.into(),
        text: text.into(),
    };
    let keys: Vec<&str> = tables().iter().flat_map(|table| &table.keys).map(|key| key.name).collect();
    let with = |inputs: &[Input]| import(Origin::Systemd, inputs, &keys).unwrap();
    let last = drop_in("/etc/systemd/system/a.service.d", "override.conf", edited);
    let first = drop_in(
        "/etc/systemd/system/a.service.d",
        "10-a.conf",
        "[Service]\nExecStart=\nExecStart=/bin/mid\n",
    );
    let file = drop_in("/lib/systemd/system", "a.service", unit);
    let dropped = only(&with(&[last.clone(), file.clone(), first]));
    for service in [alone, dropped] {
        assert_eq!(service.program.command, ["/bin/new"]);
        assert_eq!(service.program.env.keys().collect::<Vec<_>>(), ["C"]);
    }
    let only_file = with(std::slice::from_ref(&file));
    assert_eq!(only(&only_file).program.env["B"], "100%", "{only_file}");
    assert!(!only_file.contains("# Environment"), "{only_file}");
    let other = drop_in("/etc/systemd/system/b.service.d", "x.conf", edited);
    let text = with(&[file, other]);
    let note = "# /etc/systemd/system/b.service.d/x.conf: the unit that it is for is not among the files";
    assert!(text.contains(note) && only(&text).program.command == ["/bin/old"], "{text}");
}

/// What systemd makes of a line is what the program gets, whatever a shell would make of it.
#[test]
fn a_command_line_of_systemd_is_the_same_words_here() {
    let show = |line: &str| {
        let text = ours(Origin::Systemd, &[("a.service", &format!("[Service]\nExecStart={line}\n"))]);
        (only(&text).program.command.clone(), text)
    };
    for (line, words) in [
        ("/bin/a --price $$5 '*' (x);|>`y`", vec!["/bin/a", "--price", "$5", "*", "(x);|>`y`"]),
        (":/bin/a ${X} $$", vec!["/bin/a", "${X}", "$$"]),
        ("@/bin/a name real args", vec!["/bin/a", "real", "args"]),
        ("/bin/a a$b 5$", vec!["/bin/a", "a$b", "5$"]),
        (r"/bin/a it\'s\x20a 'b\tc' \d", vec!["/bin/a", "it's a", "b\tc", r"\d"]),
        (r"/bin/a \; ';'", vec!["/bin/a", ";", ";"]),
        ("/bin/a x ; /bin/b", vec!["/bin/a", "x"]),
    ] {
        assert_eq!(show(line).0, words, "{line}");
    }
    let (_, text) = show("/bin/a x ; /bin/b");
    assert!(text.contains("only the first of its commands"), "{text}");
    let (command, text) = show("@/bin/a name");
    assert!(command == ["/bin/a"] && text.contains("under its own name, not as \"name\""), "{text}");
    // With variables a shell runs it. It has to come to the same words.
    let line =
        "/usr/bin/printf <%%s> ${TITLE} '${TITLE}' x${TITLE}y $WORDS $NONE ${NONE} $$5 /etc/pass* `id` a;b";
    let (command, text) = show(line);
    let output = Command::new(&command[0])
        .args(&command[1..])
        .env("TITLE", "My  App")
        .env("WORDS", "a /etc/pass*")
        .env_remove("NONE")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "<My  App><My  App><xMy  Appy><a></etc/pass*><><$5></etc/pass*><`id`><a;b>", "{text}");
}

#[test]
fn a_service_that_says_when_it_is_ready_has_as_long_as_systemd_gives_it() {
    for (keys, seconds) in [("Type=notify", 90), ("TimeoutStartSec=20\nType=notify", 20), ("Type=simple", 30)]
    {
        let text = ours(Origin::Systemd, &[("a.service", &format!("[Service]\nExecStart=/bin/a\n{keys}\n"))]);
        assert_eq!(only(&text).policy.ready_timeout, Duration::from_secs(seconds), "{text}");
    }
}

/// In systemd the file wins over the unit, and here `env` over `env_file`: what the file sets must not stand in `env`.
#[test]
fn a_default_of_a_unit_does_not_hide_what_the_file_sets() {
    let stage = Stage::new();
    stage.write("defaults", "# A=0\n; B=0\nA=2\nexport WORKERS=\"8\"\n");
    let here = stage.dir().join("defaults").to_str().unwrap().to_owned();
    let of = |file: &str| {
        let unit = format!(
            "[Service]\nExecStart=/bin/a\nEnvironment=A=1 WORKERS=2\nEnvironmentFile={file}\nEnvironment=B=3\n"
        );
        let text = ours(Origin::Systemd, &[("a.service", &unit)]);
        let env: Vec<String> = only(&text).program.env.keys().cloned().collect();
        (env, text)
    };
    let (env, text) = of(&here);
    assert_eq!(env, ["B"], "{text}");
    for comment in [
        format!("# Environment=A: left out, since {here} sets it, and `env` would win over it here"),
        format!("# Environment=WORKERS: left out, since {here} sets it, and `env` would win over it here"),
        format!(
            "# Environment=B: wins here over {here}, which does not set it now; if it does one day, take it out of `env`"
        ),
    ] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
    let (env, text) = of("/nowhere/defaults");
    assert_eq!(env, ["A", "B", "WORKERS"], "{text}");
    let unread = "wins here over /nowhere/defaults, which cannot be read now; there the file wins: take out of `env` what it sets";
    assert_eq!(text.matches(unread).count(), 3, "{text}");
}

#[test]
fn a_socket_of_systemd_keeps_its_kind_and_its_name() {
    let service = "[Service]\nExecStart=/bin/a\n";
    let listeners = |socket: &str| {
        let socket = format!("[Socket]\n{socket}\n");
        only(&ours(Origin::Systemd, &[("a.service", service), ("a.socket", &socket)])).listeners
    };
    let [only] = &listeners("ListenDatagram=127.0.0.1:53\nFileDescriptorName=dns")[..] else { panic!("one") };
    assert_eq!((only.address.to_string(), only.name.as_deref()), ("udp://127.0.0.1:53".into(), Some("dns")));
    // Ours are for one socket each.
    let two = listeners("ListenStream=127.0.0.1:80\nListenStream=127.0.0.1:81\nFileDescriptorName=web");
    assert_eq!(two.iter().map(|listener| listener.name.as_deref()).collect::<Vec<_>>(), [None, None]);
}

/// A service that was somebody else's does not become ours.
#[test]
fn who_a_service_is_and_what_it_may_do_comes_along() {
    let unit = "[Service]\nExecStart=/srv/app\nUser=nobody\nGroup=65534\nSupplementaryGroups=daemon mail\nUMask=27\nNice=5\n\
        OOMScoreAdjust=10\nNoNewPrivileges=yes\nLimitNOFILE=1024:4096\nLimitNPROC=64\nLimitCORE=infinity\n\
        LimitMEMLOCK=64K:8M\nLimitNICE=+5\nLimitCPU=5min\n\
        CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_CHOWN\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n";
    let text = ours(Origin::Systemd, &[("app.service", unit)]);
    only(&text);
    for line in [
        "user = \"nobody\"",
        "group = 65534",
        "supplementary_groups = [\"daemon\", \"mail\"]",
        "umask = \"0027\"",
        "nice = 5",
        "oom_score_adjust = 10",
        "no_new_privs = true",
        "rlimits = { core = \"unlimited\", memlock = \"64K:8M\", nofile = \"1024:4096\", nproc = \"64\" }",
        "# LimitNICE=+5: see `rlimits`",
        "# LimitCPU=5min: see `rlimits`",
        "capabilities = [\"net_bind_service\", \"chown\"]",
        "ambient_capabilities = [\"net_bind_service\"]",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
    let unit = "[Service]\nExecStart=/srv/app\nEnvironmentFile=-/etc/default/app\n";
    let text = ours(Origin::Systemd, &[("app.service", unit)]);
    assert!(
        text.contains("# EnvironmentFile=-/etc/default/app: see `env_file`; ours has to be there\n"),
        "{text}"
    );
    // Each line adds to those before, and an empty set is one.
    let unit = |keys: &str| {
        let unit = format!("[Service]\nExecStart=/srv/app\n{keys}\n");
        ours(Origin::Systemd, &[("app.service", &unit)])
    };
    let text = unit(
        "CapabilityBoundingSet=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN\n\
         SupplementaryGroups=daemon\nSupplementaryGroups=mail",
    );
    assert!(text.contains("capabilities = [\"net_admin\", \"net_raw\"]\n"), "{text}");
    assert!(text.contains("supplementary_groups = [\"daemon\", \"mail\"]\n"), "{text}");
    assert!(unit("CapabilityBoundingSet=").contains("\ncapabilities = []\n"));
    let text =
        unit("CapabilityBoundingSet=CAP_CHOWN\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_KILL");
    assert!(text.contains("\ncapabilities = [\"kill\"]\n"), "{text}");
    // What cannot be read is told, and whom this machine does not have is a mistake of the file.
    let unit = "[Service]\nExecStart=/srv/app\nUser=%i\nCapabilityBoundingSet=~CAP_CHOWN\n";
    let text = ours(Origin::Systemd, &[("app.service", unit)]);
    assert!(
        text.contains("# User=%i: see `user`") && text.contains("~CAP_CHOWN: see `capabilities`"),
        "{text}"
    );
    let unit = "[program:app]\ncommand=/srv/app\nuser=nobody-of-this-name\n";
    let text = ours(Origin::Supervisord, &[("supervisord.conf", unit)]);
    assert!(parse("ours.toml", &text).unwrap_err().render(false).contains("nobody-of-this-name"), "{text}");
}

/// A watchdog is fed by `sd_notify` whatever the type of the service is.
#[test]
fn a_watchdog_comes_along_with_what_feeds_it() {
    let unit = |keys: &str| format!("[Service]\nExecStart=/srv/app\n{keys}\n");
    for (keys, ready) in [("WatchdogSec=3min\nType=notify", true), ("WatchdogSec=180", false)] {
        let app = only(&ours(Origin::Systemd, &[("app.service", &unit(keys))]));
        assert_eq!(app.program.watchdog, Some(Duration::from_secs(180)), "{keys}");
        assert_eq!(app.program.handshake, Handshake::Systemd, "{keys}");
        assert_eq!(app.policy.ready == Ready::Word, ready, "{keys}");
    }
    let text = ours(Origin::Systemd, &[("app.service", &unit("WatchdogSec=0"))]);
    assert!(text.contains("# WatchdogSec=0: has no counterpart"), "{text}");
    assert_eq!(only(&text).program.handshake, Handshake::None);
}

/// Every unit of this machine: those of nginx, haproxy and supervisor, which the tests install, and a hundred others.
#[test]
fn every_unit_of_this_machine_passes_and_loses_no_key() {
    const BECOME_OURS: [&str; 26] = [
        "ExecStart",
        "Type",
        "Environment",
        "EnvironmentFile",
        "WorkingDirectory",
        "Restart",
        "RestartSec",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "TimeoutSec",
        "KillSignal",
        "Description",
        "StandardOutput",
        "StandardError",
        "User",
        "Group",
        "SupplementaryGroups",
        "UMask",
        "Nice",
        "OOMScoreAdjust",
        "NoNewPrivileges",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "LimitNOFILE",
        "LimitNPROC",
        "WatchdogSec",
    ];
    let mut passed = Vec::new();
    for path in
        fs::read_dir("/lib/systemd/system").expect("run tests/install").map(|entry| entry.unwrap().path())
    {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(text) = fs::read_to_string(&path).ok().filter(|_| name.ends_with(".service")) else {
            continue;
        };
        let socket = fs::read_to_string(path.with_extension("socket")).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with("ExecStart=")) {
            continue;
        }
        let inputs = [(&*name, &*text), (&*name.replace(".service", ".socket"), &*socket)];
        let result = ours(Origin::Systemd, &inputs);
        fits_some_machine(&result);
        assert_none_is_dropped(&text.replace("\\\n", " "), &result, &BECOME_OURS);
        passed.push(name);
    }
    for wanted in ["nginx.service", "haproxy.service", "supervisor.service"] {
        assert!(passed.iter().any(|name| name == wanted), "{wanted} is not among {passed:?}");
    }
    assert!(passed.len() > 20, "{passed:?}");
}

#[test]
fn a_command_line_of_start_server_is_a_service_that_starts_first() {
    let foreign = "#!/bin/sh\nexport A=1\nexec start_server --port=80 --port=127.0.0.1:8080 --path=/run/app.sock \\\n\
        \x20   --interval 3 --signal-on-term=QUIT --pid-file=/run/app.pid --backlog=128 --dir=/srv/app -- \\\n\
        \x20   plackup -s Starlet app.psgi\n";
    let text = ours(Origin::StartServer, &[("run.sh", foreign)]);
    let app = only(&text);
    assert_eq!(app.name.as_str(), "plackup");
    assert_eq!(app.program.command, ["plackup", "-s", "Starlet", "app.psgi"]);
    let policy = &app.policy;
    assert_eq!(app.program.handshake, Handshake::ServerStarter);
    assert_eq!(app.program.directory.as_deref(), Some(Path::new("/srv/app")));
    assert!(app.listeners.iter().all(|listener| listener.settings.backlog == Some(128)));
    assert_eq!((policy.restart_order, policy.restart), (RestartOrder::StartFirst, Restart::Always));
    assert_eq!((&policy.ready, policy.stop_signal), (&Ready::Delay(Duration::from_secs(3)), libc::SIGQUIT));
    let addresses: Vec<String> = app.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses, ["tcp://0.0.0.0:80", "tcp://127.0.0.1:8080", "unix:/run/app.sock"]);
    for comment in ["# export A=1: is no start_server", "# --pid-file=/run/app.pid: has no counterpart"] {
        assert!(text.lines().any(|line| line == comment), "no {comment:?} in\n{text}");
    }
}

/// Words that only a shell does something with were arguments of the server.
#[test]
fn what_a_shell_does_for_a_command_of_start_server_it_does_here() {
    for (line, expected) in [
        ("start_server --port 80 -- ./app '>' x", &["sh", "-c", "exec ./app '>' x"][..]),
        ("exec start_server --port 80 -- ./app >> log 2>&1", &["sh", "-c", "exec ./app >> log 2>&1"]),
        ("start_server --port 80 -- ./app -n $N", &["sh", "-c", "exec ./app -n $N"]),
        ("start_server --port 80 -- ./app 'a b'", &["./app", "a b"]),
        ("start_server --port 80 '--' ./app", &["./app"]),
        // What ends the command is no part of it.
        ("start_server --port 80 -- ./app >> log 2>&1 &", &["sh", "-c", "exec ./app >> log 2>&1"]),
        ("if true; then start_server --port 80 -- ./app; fi", &["./app"]),
        ("(cd /tmp && exec start_server --port 80 -- ./app)", &["./app"]),
        (
            "start_server --port 80 -- ./app 'a;b' ${C} $(d; e) && echo ok",
            &["sh", "-c", "./app 'a;b' ${C} $(d; e)"],
        ),
        ("start_server --port 80 -- ./app | tee log", &["sh", "-c", "./app | tee log"]),
    ] {
        let text = ours(Origin::StartServer, &[("run.sh", line)]);
        assert_eq!(only(&text).program.command, expected, "{text}");
    }
}

#[test]
fn the_command_prints_it_and_says_what_is_wrong() {
    let stage = Stage::new();
    stage.write("Procfile", "web: ./server\n");
    stage.write("twice.sh", "start_server --port=80 -- ./a\nstart_server --port=80 -- ./b\n");
    stage.write("empty", "");
    let run = |arguments: &[&str]| {
        let output = stage.run(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let expected = "[[service]]\nname = \"web\"\ncommand = [\"./server\"]\nenv = { PORT = \"5000\" }\n";
    assert_eq!(run(&["import", "procfile", "Procfile"]), (Some(0), expected.into(), String::new()));
    let (code, text, said) = run(&["import", "start_server", "twice.sh"]);
    assert!(code == Some(78) && text.matches("[[service]]").count() == 2, "{text}");
    assert!(said.contains("tcp://0.0.0.0:80"), "{said}");
    stage.write("web.service", "[Service]\nExecStart=/bin/old\n");
    fs::create_dir(stage.dir().join("web.service.d")).unwrap();
    stage.write("web.service.d/override.conf", "[Service]\nExecStart=\nExecStart=/bin/new\n");
    let (code, text, said) = run(&["import", "systemd", "web.service"]);
    assert!(code == Some(0) && text.contains("/bin/old"), "{text}");
    assert_eq!(said, "bootstrap: web.service.d: is not read: give the files in it as well\n");
    let (_, text, said) = run(&["import", "systemd", "web.service", "web.service.d/override.conf"]);
    assert!(said.is_empty() && text.contains("/bin/new"), "{said}{text}");
    for (arguments, code, wanted) in [
        (&["import", "procfile", "empty"][..], 1, "no service is in it: there is not a line `NAME: COMMAND`"),
        (&["import", "systemd", "absent"], 1, "absent: No such file"),
        (&["import", "pm2", "empty"], 2, "invalid value 'pm2'"),
        (&["import", "systemd"], 2, "FILE"),
    ] {
        let (found, text, said) = run(arguments);
        assert_eq!((found, &*text), (Some(code), ""), "{arguments:?}");
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
}

/// Found by the fuzzer: a name with both kinds of quotes became a key over several lines, which is none.
#[test]
fn a_variable_may_have_any_name() {
    let foreign = "[program:web]\ncommand=./a\nenvironment=A'\"1, 2\",B='x'\n";
    let text = ours(Origin::Supervisord, &[("supervisord.conf", foreign)]);
    assert_eq!(plan(&text).services.len(), 1, "{text}");
}
