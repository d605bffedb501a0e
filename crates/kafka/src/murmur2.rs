//! The partition of a key, as Kafka's Java producer chooses it.

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The 32-bit murmur2 hash with the seed that Kafka's clients use.
pub fn murmur2(key: &[u8]) -> u32 {
    let length = u32::try_from(key.len()).expect("keys are shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut part = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MIX);
        part ^= part >> SHIFT;
        hash = hash.wrapping_mul(MIX) ^ part.wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// The partition of a key among `partitions`, which is at least 1.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = i32::try_from(murmur2(key) & 0x7fff_ffff).expect("the top bit is cleared");
    positive % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that `org.apache.kafka.common.utils.Utils.murmur2` of kafka-clients 4.3.1 printed.
    #[test]
    fn hashes_equal_java_s() {
        let table: &[(&[u8], i32)] = &[
            ("".as_bytes(), 275_646_681),
            ("a".as_bytes(), -1_563_381_124),
            ("ab".as_bytes(), 316_155_434),
            ("abc".as_bytes(), 479_470_107),
            ("abcd".as_bytes(), -1_323_649_548),
            ("21".as_bytes(), -973_932_308),
            ("foobar".as_bytes(), -790_332_482),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8".as_bytes(), -58_897_971),
            ("[\"postgres-cdc-users-connector\",{\"server\":\"cdc\"}]".as_bytes(), -1_787_790_342),
            ("[\"postgres-cdc-order-items-connector\",{\"server\":\"cdc\"}]".as_bytes(), 560_189_730),
            ("status-connector-postgres-cdc-users-connector".as_bytes(), 167_166_251),
            ("{\"id\":1}".as_bytes(), -56_768_732),
            ("{\"id\":18446744073709551615}".as_bytes(), -1_694_027_554),
            ("é€".as_bytes(), 1_912_689_889),
            (&[0xff, 0x80, 0x7f], 968_261_134),
        ];
        for (key, hash) in table {
            assert_eq!(murmur2(key).cast_signed(), *hash, "{key:?}");
        }
    }

    #[test]
    fn a_partition_is_never_negative_and_always_below_the_count() {
        for number in 0..10_000_u32 {
            let key = number.to_string();
            for partitions in [1, 5, 25] {
                assert!((0..partitions).contains(&partition_of(key.as_bytes(), partitions)));
            }
        }
    }
}
