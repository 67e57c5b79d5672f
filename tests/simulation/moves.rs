//! An address that moves from one service to another, while the first one's restart fails: in the end it is its owner's alone.

use crate::plans;
use crate::restarts::ENOUGH;
use crate::rng::Rng;
use crate::world::{Breaks, World};
use crate::{STORIES, tell_some};
use bootstrap::core::Request;
use bootstrap::core::service::Service;
use bootstrap::core::worker::Worker;
use bootstrap::plan::{Address, Definition, ListenerSpec, Plan, RestartOrder, ServiceName};
use std::sync::Arc;
use std::time::Duration;

const SHOP: &str = "/run/shop";

/// Two services of some workers each, all of which serve.
fn two_up(mut rng: Rng) -> World {
    let called = |name: &str, mut plan: Plan| {
        let mut definition = (*plan.services.remove(0)).clone();
        definition.name = ServiceName::parse(name).expect("a good name");
        definition.listeners = [at(&format!("/run/{name}"))].into();
        Arc::new(definition)
    };
    let settings = plans::replicated(&mut rng).settings;
    let services = ["blog", "shop"].map(|name| called(name, plans::replicated(&mut rng))).into();
    let mut world = World::of(Plan { settings, services }, rng, true);
    world.run_for(ENOUGH);
    assert!(world.core.services().all(Service::is_up));
    world
}

fn at(path: &str) -> ListenerSpec {
    ListenerSpec::new(Address::Unix(path.into()))
}

/// The file has other addresses for one of them.
fn move_to(world: &mut World, name: &str, paths: &[&str]) {
    let change = |service: &mut Definition| {
        if service.name.as_str() == name {
            service.listeners = paths.iter().map(|path| at(path)).collect();
        }
    };
    world.edited = Some(plans::changed(world.edited.as_ref().unwrap_or(world.core.plan()), change));
}

fn reload(world: &mut World) {
    world.signal(Request::Reload, Duration::ZERO);
    world.run_for(ENOUGH);
}

fn named<'a>(world: &'a World, name: &str) -> &'a Service {
    world.core.services().find(|service| service.definition.name.as_str() == name).expect("it is there")
}

/// How many of it whom nobody has asked to leave serve at this address?
fn staying_at(world: &World, name: &str, path: &str) -> usize {
    let staying = named(world, name).workers.iter().flat_map(Worker::staying);
    staying.filter(|run| run.definition.listens_at(&Address::Unix(path.into()))).count()
}

fn nobody_stays_at_the_address_of_another(world: &World) {
    let shop = named(world, "shop");
    assert_eq!(staying_at(world, "shop", SHOP), 0, "{shop:#?}");
}

fn breaks(world: &mut World) {
    world.breaks = Some(world.rng.pick(&[Breaks::Dies, Breaks::Hangs, Breaks::IsMissing]));
}

/// Everything starts as it should again.
fn mend(world: &mut World) {
    world.breaks = None;
    world.signal(Request::Restart, Duration::ZERO);
    world.run_for(ENOUGH);
    for service in world.core.services() {
        let runs = || service.workers.iter().flat_map(Worker::staying);
        assert!(service.is_up() && runs().all(|run| run.definition == service.definition), "{service:?}");
    }
}

#[test]
fn who_fails_to_move_away_leaves_the_address_to_its_new_owner() {
    tell_some(STORIES / 4, two_up, |world| {
        breaks(world);
        move_to(world, "shop", &["/run/new"]);
        move_to(world, "blog", &["/run/blog", SHOP]);
        reload(world);
        nobody_stays_at_the_address_of_another(world);
        mend(world);
    });
}

#[test]
fn who_serves_on_where_nobody_else_does_stays_until_somebody_else_is_to() {
    tell_some(STORIES / 4, two_up, |world| {
        breaks(world);
        move_to(world, "shop", &["/run/new"]);
        reload(world);
        let policy = &named(world, "shop").definition.policy;
        let all = policy.workers as usize;
        let all_stay = staying_at(world, "shop", SHOP) == all;
        assert!(all_stay || policy.restart_order == RestartOrder::StopFirst, "nobody else has the address");
        world.breaks = None;
        move_to(world, "blog", &["/run/blog", SHOP]);
        reload(world);
        nobody_stays_at_the_address_of_another(world);
        assert!(named(world, "shop").is_up() || !all_stay, "it was to come back at its own address");
        mend(world);
    });
}
