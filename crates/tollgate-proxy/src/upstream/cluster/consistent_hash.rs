//! Rings and tables of hosts, as Envoy makes them: a request with the same hash goes to the same host, there as here.

use tollgate_model::cluster::{HashFunction, Maglev, RingHash};
use twox_hash::XxHash64;

/// A host as a ring or a table sees it.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Entry {
    /// What it is known by.
    pub(in crate::upstream) key: String,
    /// What it has of the whole; all shares together are 1.
    pub(in crate::upstream) share: f64,
}

/// Which host takes which hashes. Hosts are known by their places in the list that it was made of.
#[derive(Debug)]
pub(in crate::upstream) enum HashTable {
    /// By hash, ascending.
    Ring(Box<[(u64, u32)]>),
    /// By the hash modulo the length.
    Maglev(Box<[u32]>),
}

/// xxHash of 64 bits, the one that requests are hashed with.
pub(crate) fn xx_hash(bytes: &[u8], seed: u64) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

impl HashTable {
    /// Each host has about as many places as its weight says, at hashes of its key and a number.
    #[expect(clippy::cast_precision_loss, reason = "as Envoy reckons, so that rings are the same")]
    pub(in crate::upstream) fn ring(settings: &RingHash, hosts: &[Entry]) -> Self {
        let least = hosts.iter().map(|host| host.share).fold(1.0, f64::min);
        let places = (least * settings.minimum_ring_size as f64).ceil() / least;
        let scale = places.min(settings.maximum_ring_size as f64);
        let hash = |text: &str| match settings.hash_function {
            HashFunction::XxHash => xx_hash(text.as_bytes(), 0),
            HashFunction::MurmurHash2 => murmur_hash_2(text.as_bytes()),
        };
        let mut ring = Vec::new();
        // Shares need not be whole numbers of places: what is missing to a whole one is given to the next host.
        let (mut given, mut due) = (0.0, 0.0);
        for (place, host) in (0_u32..).zip(hosts) {
            due += scale * host.share;
            let mut number = 0_u64;
            while given < due {
                ring.push((hash(&format!("{}_{number}", host.key)), place));
                number += 1;
                given += 1.0;
            }
        }
        ring.sort_by_key(|(hash, _)| *hash);
        Self::Ring(ring.into())
    }

    /// Each host has a permutation of all places, and the hosts take turns in choosing the first one that is free.
    pub(in crate::upstream) fn maglev(settings: &Maglev, hosts: &[Entry]) -> Self {
        let size = u64::from(settings.table_size);
        let most = hosts.iter().map(|host| host.share).fold(0.0, f64::max);
        let mut choosers: Vec<_> = hosts.iter().map(|host| Chooser::new(host, size)).collect();
        let mut table = vec![None; settings.table_size as usize];
        let mut free = if choosers.is_empty() { 0 } else { table.len() };
        let mut round = 1.0;
        while free > 0 {
            for (place, chooser) in (0_u32..).zip(&mut choosers) {
                // A host of a third of the greatest weight has its turn in every third round.
                if free == 0 || round * chooser.weight < chooser.due {
                    continue;
                }
                chooser.due += most;
                while let Some(entry) = table.get_mut(chooser.next(size)) {
                    if entry.is_none() {
                        *entry = Some(place);
                        free -= 1;
                        break;
                    }
                }
            }
            round += 1.0;
        }
        Self::Maglev(table.into_iter().flatten().collect())
    }

    /// The host of a hash; another place for each further attempt. `None`: there is no host.
    pub(in crate::upstream) fn choose(&self, hash: u64, attempt: u32) -> Option<usize> {
        let place = match self {
            Self::Ring(ring) => {
                let first = ring.partition_point(|(place, _)| *place < hash) % ring.len().max(1);
                let index = (first + attempt as usize) % ring.len().max(1);
                ring.get(index)?.1
            }
            Self::Maglev(table) => {
                let hash = match attempt {
                    0 => hash,
                    attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
                };
                *table.get(usize::try_from(hash.checked_rem(table.len() as u64)?).ok()?)?
            }
        };
        Some(place as usize)
    }
}

/// A host that chooses places of a table.
struct Chooser {
    offset: u64,
    skip: u64,
    /// Places that it has asked for.
    asked: u64,
    weight: f64,
    /// It has its turn when its weight times the rounds has come so far.
    due: f64,
}

impl Chooser {
    fn new(host: &Entry, size: u64) -> Self {
        let key = host.key.as_bytes();
        Self {
            offset: xx_hash(key, 0) % size,
            skip: xx_hash(key, 1) % (size - 1) + 1,
            asked: 0,
            weight: host.share,
            due: 0.0,
        }
    }

    /// The next place of its permutation.
    fn next(&mut self, size: u64) -> usize {
        let place = (self.offset + self.skip * self.asked) % size;
        self.asked += 1;
        usize::try_from(place).unwrap_or(0)
    }
}

/// MurmurHash2 of 64 bits with the seed of `std::hash` in the C++ library of GNU.
fn murmur_hash_2(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xc70f_6907;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |value: u64| value ^ (value >> 47);
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = mix(u64::from_le_bytes(*word).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    mix(mix(hash).wrapping_mul(FACTOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(weights: [u32; 3]) -> Vec<Entry> {
        let keys = ["a.example", "b.example", "c.example"];
        let sum: f64 = weights.into_iter().map(f64::from).sum();
        let share = |weight| f64::from(weight) / sum;
        keys.iter()
            .zip(weights)
            .map(|(key, weight)| Entry { key: (*key).to_owned(), share: share(weight) })
            .collect()
    }

    /// Which of the hosts the requests of users 0 to 11 go to.
    fn chosen(table: &HashTable) -> String {
        (0..12)
            .map(|user| {
                let hash = xx_hash(format!("user-{user}").as_bytes(), 0);
                ['a', 'b', 'c'][table.choose(hash, 0).unwrap()]
            })
            .collect()
    }

    /// As Envoy 1.40 chooses with the same hosts.
    #[test]
    fn rings_are_envoys() {
        let ring = RingHash::default();
        let murmur = RingHash { hash_function: HashFunction::MurmurHash2, ..ring };
        let small = RingHash { minimum_ring_size: 4, maximum_ring_size: 4, ..ring };
        assert_eq!(chosen(&HashTable::ring(&ring, &hosts([1, 1, 1]))), "ccbccabccbcc");
        assert_eq!(chosen(&HashTable::ring(&murmur, &hosts([1, 1, 1]))), "ccbbbbbcabcb");
        assert_eq!(chosen(&HashTable::ring(&small, &hosts([1, 1, 1]))), "aaaaaaabacaa");
        assert_eq!(chosen(&HashTable::ring(&ring, &hosts([1, 5, 2]))), "ccbbbabbbbbc");
    }

    /// As Envoy 1.40 chooses with the same hosts.
    #[test]
    fn tables_are_envoys() {
        let table = |table_size, weights| {
            let settings = Maglev { table_size, ..Maglev::default() };
            chosen(&HashTable::maglev(&settings, &hosts(weights)))
        };
        assert_eq!(table(11, [1, 1, 1]), "cbababbcacbc");
        assert_eq!(table(65537, [1, 1, 1]), "accacabbcacc");
        assert_eq!(table(31, [1, 5, 2]), "bbbcbbbbbabb");
    }

    #[test]
    fn further_attempts_are_other_places() {
        let hash = xx_hash(b"user-2", 0);
        let ring = HashTable::ring(&RingHash::default(), &hosts([1, 1, 1]));
        assert_eq!([ring.choose(hash, 0), ring.choose(hash, 1)], [Some(1), Some(2)]);
        let table = HashTable::maglev(&Maglev::default(), &hosts([1, 1, 1]));
        assert_eq!([table.choose(hash, 0), table.choose(hash, 1)], [Some(2), Some(0)]);
    }

    #[test]
    fn without_hosts_there_is_no_choice() {
        assert_eq!(HashTable::ring(&RingHash::default(), &[]).choose(7, 0), None);
        assert_eq!(HashTable::maglev(&Maglev::default(), &[]).choose(7, 0), None);
    }

    /// Every place of a table has a host, whatever the weights: nothing loops.
    #[test]
    fn tables_are_full() {
        for (size, weights) in [(2, [1, 1, 1]), (3, [1, 1_000_000, 1]), (251, [u32::MAX, 1, 1])] {
            let settings = Maglev { table_size: size, ..Maglev::default() };
            let HashTable::Maglev(table) = HashTable::maglev(&settings, &hosts(weights)) else { panic!() };
            assert_eq!(table.len(), size as usize);
        }
    }
}
