//! What stories are made of: trouble, and the calm after it.

use crate::world::World;
use bootstrap::core::Request;
use bootstrap::core::state::State;
use std::collections::BTreeMap;
use std::time::Duration;

#[allow(dead_code, reason = "a fuzzer tells shorter ones")]
/// An hour with signals at any moment, some of them in storms.
pub(crate) fn an_hour(world: &mut World) {
    let end = world.now + Duration::from_secs(3_600);
    while world.now < end && world.outcome().is_none() {
        let pause = match world.rng.below(10) {
            0 => world.rng.ms(0..30),
            1..4 => world.rng.ms(0..20_000),
            _ => world.rng.ms(0..400_000),
        };
        world.run_for(pause);
        for _ in 0..world.rng.below(4) {
            let after = world.rng.ms(0..2_000);
            world.client(after);
        }
        let request = match world.rng.below(20) {
            0..5 => Request::Reload,
            5 => Request::Upgrade,
            _ => Request::Restart,
        };
        for _ in 0..world.rng.pick(&[1, 1, 1, 2, 10]) {
            let after = world.rng.ms(0..20);
            world.signal(request.clone(), after);
        }
    }
}

/// What a fuzzer says, one thing after the other; then calm.
#[allow(dead_code, reason = "only a fuzzer tells it")]
pub(crate) fn what_was_chosen(world: &mut World) {
    world.upgrades = 0;
    world.deaths = world.rng.pick(&[0, 0, 5]);
    while world.rng.is_told() && world.outcome().is_none() {
        let after = world.rng.ms_of(&[(0, 1), (0, 20), (0, 2_000)]);
        match world.rng.below(16) {
            0..6 => {
                let pause = world.rng.ms_of(&[(0, 5), (0, 250), (0, 30_000), (0, 250_000)]);
                world.run_for(pause);
            }
            6..10 => world.client(after),
            10 => world.upgrades = world.rng.pick(&[0, 1, 100]),
            11 => world.signal(Request::Upgrade, after),
            12 | 13 => world.signal(Request::Reload, after),
            14 => world.signal(Request::Restart, after),
            _ => {
                let request = world.rng.pick(&[&Request::Restart, &Request::Stop, &Request::StopNow]).clone();
                world.signal(request, after);
            }
        }
    }
    world.deaths = 0;
    calm(world);
}

/// Trouble is over: whatever it left behind comes to its end, and a restart brings everything up, once.
pub(crate) fn calm(world: &mut World) {
    world.calm = true;
    // Longer than any timeout: what the trouble left behind has come to its end.
    world.run_for(Duration::from_secs(600));
    world.everything_runs();
    world.run_for(Duration::from_secs(600));
    world.signal(Request::Restart, Duration::ZERO);
    world.run_for(Duration::from_secs(600));
    if world.outcome().is_some() {
        return;
    }
    let before: BTreeMap<_, _> = world.core.services().map(|s| (s.id, s.last)).collect();
    world.check_all_answered();
    for _ in 0..10 {
        world.signal(Request::Restart, Duration::ZERO);
    }
    let killed = world.killed;
    world.run_for(Duration::from_secs(600));
    if world.outcome().is_some() {
        return;
    }
    for service in world.core.services() {
        for worker in &service.workers {
            assert!(
                matches!(worker.state, State::Up { .. }),
                "{} is not up, but {:#?}",
                service.definition.name,
                service
            );
        }
        let starts = service.last.0 - before[&service.id].0;
        assert_eq!(starts as usize, service.workers.len(), "starts after ten signals in an instant");
    }
    assert_eq!(world.killed, killed, "a good server was killed");
}
