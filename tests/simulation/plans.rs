//! Plans for the stories: a few services with every policy there is, and what an operator may do to them.

use crate::rng::Rng;
use bootstrap::plan::{
    Address, Check, Definition, Handshake, Identity, ListenerSpec, Outlet, Output, Place, Plan, Policy,
    Probe, Program, Ready, Restart, RestartOrder, Scope, ServiceName, Settings, Target, WhenIdle,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NAMES: [&str; 5] = ["api", "mail", "queue", "tls", "web"];

/// A plan with one to four services.
pub(crate) fn first(rng: &mut Rng) -> Plan {
    let services = NAMES[..=usize::try_from(rng.below(4)).expect("small")]
        .iter()
        .map(|name| service(name, rng))
        .collect();
    let when_idle = if rng.chance(90) { WhenIdle::Wait } else { WhenIdle::Exit };
    // So little room that it matters.
    let start_concurrency = rng.pick(&[1, 2, 100]);
    Plan {
        settings: Settings { when_idle, start_concurrency, ..Settings::default() },
        services: settled(services),
    }
}

/// A plan with one service of several workers that says, or shows, when it is ready, and that goes back.
pub(crate) fn replicated(rng: &mut Rng) -> Plan {
    let mut web = service("web", rng);
    let address = Address::Unix("/run/web".into());
    web.listeners = [ListenerSpec::new(address)].into();
    let pipe = web.program.handshake == Handshake::Pipe;
    let ready = if pipe && rng.chance(50) { Ready::Word } else { Ready::Accepting };
    (web.after, web.requires, web.program.watchdog) = ([].into(), [].into(), None);
    web.policy = Policy {
        ready,
        check: None,
        watch: false,
        rollback: true,
        workers: rng.pick(&[1, 2, 3, 5]),
        max_surge: rng.pick(&[1, 2, 3]),
        max_unavailable: rng.pick(&[1, 2, 3]),
        ready_timeout: rng.ms(1_000..30_000),
        ..(*web.policy).clone()
    }
    .into();
    Plan {
        settings: Settings { when_idle: WhenIdle::Wait, ..Settings::default() },
        services: settled(vec![web]),
    }
}

/// The same with another command, or with another number of workers.
pub(crate) fn changed(plan: &Plan, change: impl Fn(&mut Definition)) -> Plan {
    let mut services: Vec<Definition> = plan.services.iter().map(|d| (**d).clone()).collect();
    services.iter_mut().for_each(change);
    Plan { settings: plan.settings.clone(), services: settled(services) }
}

/// What the operator makes of it: something added, removed, moved, changed, or nothing at all.
pub(crate) fn edited(plan: &Plan, rng: &mut Rng) -> Plan {
    let mut services: Vec<Definition> = plan.services.iter().map(|d| (**d).clone()).collect();
    for _ in 0..rng.below(3) {
        let at = usize::try_from(rng.below(services.len() as u64)).expect("small");
        match rng.below(9) {
            0 if services.len() > 1 => drop(services.remove(at)),
            1 => services[at].program.command.push(format!("-{}", rng.below(100))),
            2 => services[at].policy = policy(rng, services[at].program.handshake).into(),
            3 => {
                let other = usize::try_from(rng.below(services.len() as u64)).expect("small");
                let listeners = std::mem::take(&mut services[at].listeners);
                services[at].listeners = std::mem::replace(&mut services[other].listeners, listeners);
            }
            5 => {
                let handshake = rng.pick(&[Handshake::Pipe, Handshake::None, Handshake::Systemd]);
                services[at].program.handshake = handshake;
                services[at].program.watchdog = watchdog(rng, handshake);
                services[at].policy = policy(rng, handshake).into();
            }
            6 => {
                let name = services[at].name.clone();
                services[at].requires = earlier(name.as_str(), rng);
            }
            7 => services[at].program.output = output(rng),
            4 => services[at].listeners.iter_mut().for_each(|l| l.settings.backlog = Some(7)),
            _ => {
                let name = rng.pick(&NAMES);
                let new = service(name, rng);
                let taken = |d: &Definition| {
                    d.name == new.name
                        || d.listeners.iter().any(|l| new.listeners.iter().any(|n| n.address == l.address))
                };
                if !services.iter().any(taken) {
                    services.push(new);
                }
            }
        }
    }
    Plan { settings: plan.settings.clone(), services: settled(services) }
}

fn service(name: &str, rng: &mut Rng) -> Definition {
    let other = rng.pick(&[Handshake::None, Handshake::Systemd]);
    let handshake = if rng.chance(70) { Handshake::Pipe } else { other };
    let listeners = (0..rng.below(3))
        .map(|n| ListenerSpec::new(Address::Unix(format!("/run/{name}-{n}").into())))
        .collect();
    Definition {
        name: ServiceName::parse(name).expect("a good name"),
        listeners,
        after: earlier(name, rng),
        requires: earlier(name, rng),
        program: Program {
            command: vec![name.into()],
            directory: None,
            env: BTreeMap::new(),
            env_file: None,
            handshake,
            identity: Identity::default().into(),
            watchdog: watchdog(rng, handshake),
            output: output(rng),
        }
        .into(),
        policy: policy(rng, handshake).into(),
    }
}

/// Services that may come before this one: those with an earlier name, so that there is no circle.
fn earlier<Names: FromIterator<ServiceName>>(name: &str, rng: &mut Rng) -> Names {
    let before = NAMES.iter().filter(|other| **other < name);
    before.filter(|_| rng.chance(15)).map(|other| ServiceName::parse(other).expect("a good name")).collect()
}

/// Services that are not there are waited for by nobody; the config refuses their names.
fn settled(mut services: Vec<Definition>) -> Vec<Arc<Definition>> {
    let names: Vec<ServiceName> = services.iter().map(|service| service.name.clone()).collect();
    for service in &mut services {
        service.after.retain(|name| names.contains(name));
        service.requires.retain(|name| names.contains(name));
    }
    services.into_iter().map(Arc::new).collect()
}

fn probe(rng: &mut Rng) -> Probe {
    Probe {
        target: Target::Tcp(Place::Unix("/run/{generation}".into())),
        scope: rng.pick(&[Scope::Run, Scope::Service]),
        timeout: rng.ms(1..3_000),
    }
}

fn watchdog(rng: &mut Rng, handshake: Handshake) -> Option<Duration> {
    (handshake == Handshake::Systemd && rng.chance(60)).then(|| rng.ms(20_000..300_000))
}

/// Most services write where the supervisor does.
fn output(rng: &mut Rng) -> Option<Box<Output>> {
    let outlet = |rng: &mut Rng| match rng.below(3) {
        0 => Outlet::Inherit,
        1 => Outlet::Null,
        _ => Outlet::Journal,
    };
    let (stdout, stderr) = (outlet(rng), outlet(rng));
    rng.chance(30).then(|| Box::new(Output { stdout, stderr, ..Output::default() }))
}

fn policy(rng: &mut Rng, handshake: Handshake) -> Policy {
    Policy {
        restart: rng.pick(&[Restart::No, Restart::OnFailure, Restart::Always]),
        restart_order: rng.pick(&[RestartOrder::StopFirst, RestartOrder::StartFirst]),
        check: rng.chance(25).then(|| {
            Box::new(Check {
                probe: probe(rng),
                period: rng.ms_of(&[(500, 5_000), (5_000, 120_000)]),
                failures: rng.pick(&[1, 2, 3]),
            })
        }),
        watch: rng.chance(30),
        ready: match rng.below(6) {
            0 if handshake != Handshake::None => Ready::Word,
            1 => Ready::Accepting,
            2 => Ready::Started,
            3 => Ready::Delay(rng.ms(0..400)),
            4 => Ready::Probe(Box::new(probe(rng))),
            _ => Ready::Assumed,
        },
        bake_time: rng.ms_of(&[(0, 1), (0, 1), (1, 5_000)]),
        workers: rng.pick(&[1, 1, 1, 2, 3]),
        max_surge: 2,
        max_unavailable: rng.pick(&[1, 2]),
        canary: rng.chance(30),
        rollback: rng.chance(70),
        ready_timeout: rng.ms(500..30_000),
        stop_signal: handshake.default_stop_signal(),
        handover_timeout: rng.ms(10..10_000),
        drain_timeout: rng.ms(10..60_000),
        stop_timeout: rng.ms(1..5_000),
        restart_delay: Duration::from_millis(200),
        restart_delay_max: Duration::from_secs(30),
        healthy_after: Duration::from_secs(10),
    }
}
