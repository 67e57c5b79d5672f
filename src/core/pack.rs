//! Maps without empty places. Numbers of services, sockets, runs and processes grow, and a tree that is added to at its end
//! leaves half of every node empty; one that is made at one go fills them.

/// Makes a map or a set anew, from what is in it.
pub fn pack<T: Default + IntoIterator + FromIterator<T::Item>>(kept: &mut T) {
    *kept = std::mem::take(kept).into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_packed_map_is_the_same() {
        let mut map: BTreeMap<u32, String> = (0..1000).map(|number| (number, number.to_string())).collect();
        (0..1000).step_by(3).for_each(|number| _ = map.remove(&number));
        let before = map.clone();
        pack(&mut map);
        assert_eq!(map, before);
    }
}
