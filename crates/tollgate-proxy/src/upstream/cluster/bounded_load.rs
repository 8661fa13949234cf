//! A bound for the load of hosts that are chosen by a hash, as Envoy has it: who has more than its share of the requests in
//! progress is passed over, in an order that is the same for the same hash.

use crate::upstream::cluster::load_balancer::Candidate;

/// The host for a request whose hash says `first`, with shares of the whole and a bound in hundredths of them.
pub(in crate::upstream) fn choose<C: Candidate>(
    candidates: &[C],
    shares: &[f64],
    balance_factor: u32,
    first: usize,
    hash: u64,
) -> usize {
    let active: usize = candidates.iter().map(Candidate::active_requests).sum();
    let slots = (active + 1) * balance_factor as usize;
    let slots = slots.div_ceil(100);
    let load = |index: usize| overload(candidates[index].active_requests(), slots, shares[index]);
    let mut least = (load(first), first);
    if least.0 <= 1.0 {
        return first;
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let mut random = MersenneTwister::new(hash);
    for place in 0..order.len() {
        let other = place + random.below(order.len() - place);
        order.swap(place, other);
        let index = order[place];
        if index == first {
            continue;
        }
        let load = load(index);
        if load <= 1.0 {
            return index;
        }
        if load < least.0 {
            least = (load, index);
        }
    }
    least.1
}

/// Requests in progress in proportion to what the host may have: at least one.
#[expect(clippy::cast_precision_loss, reason = "numbers of requests")]
fn overload(active: usize, slots: usize, share: f64) -> f64 {
    active as f64 / (slots as f64 * share).ceil().max(1.0)
}

/// The generator MT19937, whose order of hosts is Envoy's.
struct MersenneTwister {
    state: [u32; Self::SIZE],
    next: usize,
}

impl MersenneTwister {
    const SIZE: usize = 624;
    const MIDDLE: usize = 397;

    /// Of the seed the lower half counts.
    #[expect(clippy::cast_possible_truncation, reason = "as the C++ library has it")]
    fn new(seed: u64) -> Self {
        let mut state = [0; Self::SIZE];
        state[0] = seed as u32;
        for (index, number) in (1..Self::SIZE).zip(1_u32..) {
            let last = state[index - 1];
            state[index] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(number);
        }
        Self { state, next: Self::SIZE }
    }

    fn draw(&mut self) -> u32 {
        if self.next == Self::SIZE {
            self.next = 0;
            for index in 0..Self::SIZE {
                let mixed =
                    (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % Self::SIZE] & 0x7fff_ffff);
                let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[index] = self.state[(index + Self::MIDDLE) % Self::SIZE] ^ (mixed >> 1) ^ odd;
            }
        }
        let mut number = self.state[self.next];
        self.next += 1;
        number ^= number >> 11;
        number ^= (number << 7) & 0x9d2c_5680;
        number ^= (number << 15) & 0xefc6_0000;
        number ^ (number >> 18)
    }

    /// A number below this one, which is more than zero.
    fn below(&mut self, limit: usize) -> usize {
        let width = (1_u64 << 32) / limit as u64;
        loop {
            let drawn = usize::try_from(u64::from(self.draw()) / width).unwrap_or(0);
            if drawn < limit {
                return drawn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_model::cluster::HashKey;

    use super::*;

    struct Host(usize);

    impl Candidate for Host {
        fn weight(&self) -> u32 {
            1
        }

        fn active_requests(&self) -> usize {
            self.0
        }

        fn hash_key(&self, _of: HashKey) -> String {
            String::new()
        }

        fn well_since(&self) -> Option<std::time::Instant> {
            None
        }
    }

    fn chosen(active: &[usize], factor: u32, first: usize) -> usize {
        let hosts: Vec<Host> = active.iter().map(|active| Host(*active)).collect();
        let share = 1.0 / f64::from(u32::try_from(active.len()).unwrap());
        choose(&hosts, &vec![share; active.len()], factor, first, 7)
    }

    #[test]
    fn the_generator_is_that_of_the_library() {
        let mut random = MersenneTwister::new(5489);
        assert_eq!(random.draw(), 3_499_211_612);
        for _ in 0..9998 {
            random.draw();
        }
        assert_eq!(random.draw(), 4_123_659_995);
    }

    #[test]
    fn who_has_room_keeps_its_requests() {
        assert_eq!(chosen(&[0, 0, 0], 100, 1), 1);
        assert_eq!(chosen(&[1, 1, 1], 200, 1), 1);
    }

    #[test]
    fn who_has_too_many_is_passed_over() {
        assert_ne!(chosen(&[0, 5, 0], 120, 1), 1);
        assert_eq!(chosen(&[0, 5], 120, 1), 0);
    }

    #[test]
    fn where_all_have_too_many_the_least_is_taken() {
        // Shares that are no shares: nobody may have more than one.
        let hosts = [Host(9), Host(4), Host(6)];
        assert_eq!(choose(&hosts, &[0.0, 0.0, 0.0], 100, 0, 3), 1);
    }
}
