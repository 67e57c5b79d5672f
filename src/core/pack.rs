//! Maps without empty places. Numbers of services, sockets, runs and processes grow, and a tree that is added to at its end
//! leaves half of every node empty; one that is made at one go fills them.

/// Makes a map or a set anew, from what is in it.
pub fn pack<T: Default + IntoIterator + FromIterator<T::Item>>(kept: &mut T) {
    *kept = std::mem::take(kept).into_iter().collect();
}

/// Says when a map that grows is to be packed: whenever it has doubled. What grows beside it takes the room that this gives
/// back, and all of it costs as much as the last time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Growth(usize);

impl Growth {
    /// With fewer there is nothing to gain.
    const FIRST: usize = 512;

    /// Has it doubled since this was said last?
    pub fn has_doubled(&mut self, len: usize) -> bool {
        let doubled = len >= 2 * self.0.max(Self::FIRST);
        if doubled {
            self.0 = len;
        }
        doubled
    }
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

    #[test]
    fn what_grows_and_shrinks_and_grows_is_packed_a_few_times() {
        let mut growth = Growth::default();
        let all = (0..10_000).chain((5000..10_000).rev()).chain(5000..20_000);
        let packed: Vec<usize> = all.filter(|len| growth.has_doubled(*len)).collect();
        assert_eq!(packed, [1024, 2048, 4096, 8192, 16_384]);
    }
}
