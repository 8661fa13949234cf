//! Endpoints that are chosen by a hash of the request.

use tollgate_model::cluster::{Discovery, HashFunction, HashKey, Maglev, RingHash};

use super::schema::{COMMON_LB_CONFIG, LOCALITY_WEIGHTED_LB_CONFIG_OF_POLICY};
use crate::schema::{Enumeration, Message, Schema, Value, read, refused};

const BALANCE: &str = "An endpoint has at most so many hundredths of its share of the requests in progress, 100 or more; others take \
    what is more.";

pub(in crate::envoy) static RING_HASH_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
    title: "",
    fields: &[
        read("minimum_ring_size", "1024", RING_SIZE),
        read("maximum_ring_size", "8388608", "Places on the ring at most."),
        read("hash_function", "XX_HASH", "XX_HASH or MURMUR_HASH_2."),
    ],
    unsupported: &[],
};

const RING_SIZE: &str = "Places on the ring; endpoints have as many as their weights say.";

pub(in crate::envoy) static MAGLEV_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
    title: "",
    fields: &[read("table_size", "65537", TABLE_SIZE)],
    unsupported: &[],
};

const TABLE_SIZE: &str = "Places in the table: a prime number up to 5000011.";

const HOSTNAME: &str = "Endpoints are known by their host names instead of their addresses.";

/// That of a cluster.
pub(in crate::envoy) static CONSISTENT_HASHING_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig",
    title: "ConsistentHashingLbConfig of clusters",
    fields: &[
        read("use_hostname_for_hashing", "false", "The same, for clusters of type STRICT_DNS."),
        read("hash_balance_factor", "none", BALANCE),
    ],
    unsupported: &[],
};

/// That of a policy.
pub(in crate::envoy) static CONSISTENT_HASHING: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
    title: "",
    fields: &[
        read("use_hostname_for_hashing", "false", HOSTNAME),
        read("hash_balance_factor", "none", BALANCE),
        refused("hash_policy", "use hash_policy of the routes"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RING_HASH: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
    title: "",
    fields: &[
        read("minimum_ring_size", "1024", RING_SIZE),
        read("maximum_ring_size", "8388608", "Places on the ring at most."),
        read("hash_function", "XX_HASH", "XX_HASH or MURMUR_HASH_2."),
        read("use_hostname_for_hashing", "false", HOSTNAME),
        read("consistent_hashing_lb_config", "{}", "What endpoints are known by."),
        read("hash_balance_factor", "none", BALANCE),
        read("locality_weighted_lb_config", "", LOCALITIES),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static MAGLEV: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
    title: "",
    fields: &[
        read("table_size", "65537", TABLE_SIZE),
        read("consistent_hashing_lb_config", "{}", "What endpoints are known by."),
        read("locality_weighted_lb_config", "", LOCALITIES),
    ],
    unsupported: &[],
};

const LOCALITIES: &str = "Localities have the shares that their `load_balancing_weight` says.";

static HASH_FUNCTION: Enumeration<HashFunction> = Enumeration {
    values: &[
        ("XX_HASH", 0, Some(HashFunction::XxHash)),
        ("MURMUR_HASH_2", 1, Some(HashFunction::MurmurHash2)),
    ],
};

pub(in crate::envoy) static HASH_FUNCTION_OF_POLICY: Enumeration<HashFunction> = Enumeration {
    values: &[
        ("DEFAULT_HASH", 0, Some(HashFunction::XxHash)),
        ("XX_HASH", 1, Some(HashFunction::XxHash)),
        ("MURMUR_HASH_2", 2, Some(HashFunction::MurmurHash2)),
    ],
};

/// The settings of `lb_policy: RING_HASH`.
pub(super) fn read_ring_hash_of_cluster(message: &Message<'_>, discovery: Option<&Discovery>) -> RingHash {
    let (key, balance_factor) = read_common_of_cluster(message, discovery);
    let Some(settings) = message.message("ring_hash_lb_config", &RING_HASH_LB_CONFIG) else {
        return RingHash { key, balance_factor, ..RingHash::default() };
    };
    let hash_function = settings.enumeration("hash_function", &HASH_FUNCTION, HashFunction::XxHash);
    RingHash { key, balance_factor, hash_function, ..read_sizes(&settings) }
}

/// The settings of `lb_policy: MAGLEV`.
pub(super) fn read_maglev_of_cluster(message: &Message<'_>, discovery: Option<&Discovery>) -> Maglev {
    let (key, balance_factor) = read_common_of_cluster(message, discovery);
    let settings = message.message("maglev_lb_config", &MAGLEV_LB_CONFIG);
    let table_size =
        settings.map_or_else(|| Maglev::default().table_size, |settings| read_table_size(&settings));
    Maglev { table_size, key, balance_factor }
}

/// Settings of hashing beside a policy that does not hash have no effect, as in Envoy.
pub(super) fn read_unused(message: &Message<'_>) {
    message.get("ring_hash_lb_config");
    message.get("maglev_lb_config");
}

fn read_common_of_cluster(message: &Message<'_>, discovery: Option<&Discovery>) -> (HashKey, Option<u32>) {
    let common = message.message("common_lb_config", &COMMON_LB_CONFIG);
    let settings = common
        .and_then(|common| common.message("consistent_hashing_lb_config", &CONSISTENT_HASHING_LB_CONFIG));
    let Some(settings) = settings else {
        return (HashKey::Address, None);
    };
    let key = read_key(&settings);
    if key == HashKey::Hostname
        && !matches!(discovery, None | Some(Discovery::StrictDns(_)))
        && let Some(value) = settings.get("use_hostname_for_hashing")
    {
        value.error("use_hostname_for_hashing is for clusters of type STRICT_DNS");
    }
    (key, read_balance_factor(&settings))
}

fn read_balance_factor(settings: &Message<'_>) -> Option<u32> {
    let factor = settings.get("hash_balance_factor")?.integer(100..=i64::from(u32::MAX))?;
    u32::try_from(factor).ok()
}

fn read_key(settings: &Message<'_>) -> HashKey {
    match settings.boolean("use_hostname_for_hashing", false) {
        true => HashKey::Hostname,
        false => HashKey::Address,
    }
}

/// The settings, and whether localities have shares of their own.
pub(super) fn read_ring_hash(value: &Value<'_>) -> Option<(RingHash, bool)> {
    let settings = value.message(&RING_HASH)?;
    let own = (read_key(&settings), read_balance_factor(&settings));
    let common = settings.message("consistent_hashing_lb_config", &CONSISTENT_HASHING);
    let common = common.map(|common| (read_key(&common), read_balance_factor(&common)));
    // The newer field counts where it is given, as in Envoy.
    let (key, balance_factor) = common.unwrap_or(own);
    let ring = RingHash {
        key,
        balance_factor,
        hash_function: settings.enumeration("hash_function", &HASH_FUNCTION_OF_POLICY, HashFunction::XxHash),
        ..read_sizes(&settings)
    };
    Some((ring, weighs_localities(&settings)))
}

/// The settings, and whether localities have shares of their own.
pub(super) fn read_maglev(value: &Value<'_>) -> Option<(Maglev, bool)> {
    let settings = value.message(&MAGLEV)?;
    let common = settings.message("consistent_hashing_lb_config", &CONSISTENT_HASHING);
    let table = Maglev {
        table_size: read_table_size(&settings),
        key: common.as_ref().map_or(HashKey::Address, read_key),
        balance_factor: common.as_ref().and_then(read_balance_factor),
    };
    Some((table, weighs_localities(&settings)))
}

fn weighs_localities(settings: &Message<'_>) -> bool {
    settings.message("locality_weighted_lb_config", &LOCALITY_WEIGHTED_LB_CONFIG_OF_POLICY).is_some()
}

fn read_sizes(settings: &Message<'_>) -> RingHash {
    let usual = RingHash::default();
    let most = i64::try_from(RingHash::MOST).unwrap_or(i64::MAX);
    let size = |name, usual| match settings.get(name) {
        Some(value) => value.integer(1..=most).and_then(|size| u64::try_from(size).ok()).unwrap_or(usual),
        None => usual,
    };
    let sizes = RingHash {
        minimum_ring_size: size("minimum_ring_size", usual.minimum_ring_size),
        maximum_ring_size: size("maximum_ring_size", usual.maximum_ring_size),
        ..usual
    };
    if sizes.minimum_ring_size > sizes.maximum_ring_size {
        settings.value().error("minimum_ring_size is larger than maximum_ring_size");
    }
    sizes
}

fn read_table_size(settings: &Message<'_>) -> u32 {
    let usual = Maglev::default().table_size;
    let Some(value) = settings.get("table_size") else { return usual };
    let Some(size) = value.integer(2..=i64::from(Maglev::MOST)).and_then(|size| u32::try_from(size).ok())
    else {
        return usual;
    };
    if !is_prime(size) {
        value.error("table_size must be a prime number");
    }
    size
}

fn is_prime(number: u32) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}
