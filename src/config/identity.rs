//! From fields to an identity: the rules between the keys that say who a process is and what it may do.

use super::field::{Field, Reading, Value};
use super::machine::{self, Member};
use super::notes::Notes;
use super::problem::Problem;
use super::raw::Service;
use super::rights::{
    self, AmbientSet, BoundingSet, Mode, Nice, OomScore, Rlimits, ServiceGroup, ServiceGroups, ServiceUser,
};
use crate::plan::{Capabilities, Group, Identity, User};
use nix::unistd::Uid;
use std::ops::Range;

/// Notes what is wrong between the keys of `[defaults]` already, whatever a service adds.
pub(super) fn shared(raw: &Service<'_>, notes: &mut Notes<'_>) {
    if let (Reading::Good(given), Reading::Good(kept)) =
        (raw.ambient_capabilities.read_again(notes), raw.capabilities.read_again(notes))
    {
        within(raw, given.value.0, kept.value.0, notes);
    }
}

/// The identity, or nothing where a mistake was noted.
pub(super) fn of(raw: &Service<'_>, notes: &mut Notes<'_>) -> Option<Identity> {
    let user = raw.user.read(notes).map(|ServiceUser(member)| Some(member)).or_default(None);
    let group = raw.group.read(notes).map(|ServiceGroup(group)| Some(group)).or_default(None);
    let more = raw.supplementary_groups.read(notes).map(Some).or_default(None);
    let umask = raw.umask.read(notes).map(Some).or_default(None);
    let nice = raw.nice.read(notes).map(Some).or_default(None);
    let oom_score_adjust = raw.oom_score_adjust.read(notes).map(Some).or_default(None);
    let rlimits = raw.rlimits.read(notes).or_default(Rlimits(Vec::new()));
    let no_new_privs = raw.no_new_privs.read(notes).or_default(false);
    let kept = raw.capabilities.read(notes).map(|BoundingSet(kept)| Some(kept)).or_default(None);
    let given = raw.ambient_capabilities.read(notes).map(|AmbientSet(given)| Some(given)).or_default(None);
    let cgroup = raw.cgroup.read(notes).map(Some).or_default(None);
    let (user, group, more) = (user?, group?, more?.map(|ServiceGroups(groups)| groups));
    let (kept, given) = (kept?, given?);
    if let (Some(given), Some(kept)) = (given, kept) {
        within(raw, given, kept, notes);
    }
    if let Some(given) = given {
        not_for_root(raw, given, user.as_ref(), notes);
    }
    let (user, group, supplementary_groups) = credentials(raw, user, group, more, notes)?;
    Some(Identity {
        user,
        group,
        supplementary_groups,
        umask: umask?.map(|Mode(bits)| bits),
        nice: nice?.map(|Nice(number)| number),
        oom_score_adjust: oom_score_adjust?.map(|OomScore(score)| score),
        rlimits: rlimits?.0,
        no_new_privs: no_new_privs?,
        capabilities: kept,
        ambient_capabilities: given,
        cgroup: cgroup?,
    })
}

type Credentials = (Option<User>, Option<Group>, Option<Vec<Group>>);

/// A user brings its group and its groups along; whoever becomes another one keeps no group of ours.
fn credentials(
    raw: &Service<'_>,
    user: Option<Member>,
    group: Option<Group>,
    more: Option<Vec<Group>>,
    notes: &mut Notes<'_>,
) -> Option<Credentials> {
    let Some(Member { user, group: own, groups }) = user else {
        // Without the right to change them its groups are those of bootstrap, which is in the one that is named.
        let stays = group.as_ref().is_none_or(|group| machine::is_own_group(group.gid));
        let groups = if stays { more } else { Some(more.unwrap_or_default()) };
        return Some((None, group, groups.map(in_order)));
    };
    let Some(group) = group.or(own) else {
        notes.add(raw.user.span().unwrap_or_default(), Problem::UserNeedsGroup { user: user.name.into() });
        return None;
    };
    if machine::is_own_user(user.uid) && !Uid::effective().is_root() && more.is_none() {
        return Some((Some(user), Some(group), None));
    }
    // As initgroups(3) has it for a user that it knows: with the group that it gets, and without its own where that is another.
    let own = user.account.is_some().then(|| group.clone());
    let all = own.into_iter().chain(groups).chain(more.into_iter().flatten()).collect();
    Some((Some(user), Some(group), Some(in_order(all))))
}

fn in_order(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by_key(|group| group.gid);
    groups.dedup_by_key(|group| group.gid);
    groups
}

/// What is given has to be kept.
fn within(raw: &Service<'_>, given: Capabilities, kept: Capabilities, notes: &mut Notes<'_>) {
    if let Some(outside) = rights::first(given.without(kept))
        && let Some(span) = own_span(&raw.ambient_capabilities).or(own_span(&raw.capabilities))
    {
        notes.add(span, Problem::GivenNotKept { capability: rights::plain(outside) });
    }
}

/// The kernel gives root what is in the bounding set, and nothing from the ambient set.
fn not_for_root(raw: &Service<'_>, given: Capabilities, user: Option<&Member>, notes: &mut Notes<'_>) {
    let is_root = user.map_or(Uid::effective().is_root(), |member| member.user.uid == 0);
    if let (true, false, Some(span)) = (is_root, given.is_empty(), raw.ambient_capabilities.span()) {
        notes.add(span, Problem::GivenToRoot);
    }
}

/// Where a key of the table itself stands.
fn own_span<T: Value>(field: &Field<'_, T>) -> Option<Range<usize>> {
    field.span().filter(|_| !field.is_inherited())
}
