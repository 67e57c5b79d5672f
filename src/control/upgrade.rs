//! What the clients are told of an upgrade.

use super::{Control, status};
use crate::core::{Fact, Succession};
use crate::os::{ClientId, Os, Then};
use crate::protocol::control::{ErrorCode, Reply};
use crate::report;
use std::collections::BTreeMap;

/// Tells those who asked for it what came of it.
pub(super) fn reported(os: &mut Os, fact: &Fact) {
    let Fact::Succession(what) = fact else { return };
    let reply = if let Succession::UpgradeRefused { .. } = what {
        Reply::error(ErrorCode::UpgradeRefused, report::message(fact))
    } else if let Succession::Upgraded { from, took, .. } = what {
        Reply::Upgraded {
            from: from.clone(),
            program: env!("CARGO_PKG_VERSION").into(),
            pid: status::own_pid(),
            took_ms: took.as_millis().try_into().unwrap_or(u64::MAX),
        }
    } else {
        return;
    };
    for (client, id) in os.askers() {
        os.answer(client, &reply.line(id), Then::Next);
    }
}

impl Control {
    /// Tells those who wait for something else that they will have to ask again.
    pub fn before_upgrade(&self, os: &mut Os) {
        let waiting = self.open.values().map(|open| (open.client, open.id));
        let following = self.followers.iter().map(|(client, follower)| (*client, follower.id));
        let told: BTreeMap<ClientId, u64> = waiting.chain(following).collect();
        for (client, id) in told {
            os.answer(client, &Reply::Upgrading {}.line(id), Then::More);
        }
    }
}
