//! The objects tile the log, and hold its records.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::memory::StoredObject;
use crate::sim::world::World;

pub(super) fn check(world: &World, wrong: &mut Vec<String>) {
    for partition in 0..world.kafka.settings.partitions {
        if let Err(why) = check_partition(world, partition) {
            wrong.push(format!("objects of partition {partition}: {why}"));
        }
    }
}

fn number(object: &StoredObject, name: &str) -> Result<i64, String> {
    let text = object.metadata.get(name).ok_or_else(|| format!("{name} is missing"))?;
    text.parse().map_err(|_| format!("{name} is {text}"))
}

fn check_partition(world: &World, partition: i32) -> Result<(), String> {
    let mut chain: BTreeMap<i64, (&String, &StoredObject)> = BTreeMap::new();
    for (key, object) in &world.objects.all {
        if number(object, "datapipe-partition")? == i64::from(partition)
            && chain.insert(number(object, "datapipe-covers-from")?, (key, object)).is_some()
        {
            return Err(format!("two objects cover the same start, one is {key}"));
        }
    }
    let mut next = world.kafka.start;
    for (from, (key, object)) in &chain {
        if *from != next {
            return Err(format!("{key} covers from {from}, the object before it ends at {next}"));
        }
        next = number(object, "datapipe-next")?;
        check_object(world, partition, key, object, *from, next)?;
    }
    let left = lines(world, partition, next, i64::MAX).count();
    if left > 0 { Err(format!("{left} records at {next} and after it are in no object")) } else { Ok(()) }
}

/// The records of a part of the log that belong into objects, with their offsets and timestamps.
fn lines(world: &World, partition: i32, from: i64, to: i64) -> impl Iterator<Item = (i64, i64, &Vec<u8>)> {
    let records = world.kafka.visible(partition, from, false).take_while(move |record| record.offset < to);
    let valued = records.filter_map(|record| Some((record.offset, record.timestamp_ms, record.value.as_ref()?)));
    valued.filter(|(_, _, value)| value.first() == Some(&b'{'))
}

fn check_object(
    world: &World,
    partition: i32,
    key: &str,
    object: &StoredObject,
    from: i64,
    next: i64,
) -> Result<(), String> {
    let mut content = Vec::new();
    GzDecoder::new(&object.content[..]).read_to_end(&mut content).map_err(|error| format!("{key}: {error}"))?;
    let held: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    let expected: Vec<_> = lines(world, partition, from, next).collect();
    let Some((first, first_ms, _)) = expected.first().copied() else { return Err(format!("{key} covers no record")) };
    if !held.iter().copied().eq(expected.iter().map(|(_, _, value)| &value[..])) {
        return Err(format!("{key} holds {} lines, not the {} records of {from}..{next}", held.len(), expected.len()));
    }
    // Under another layout than the contract's, partition and offset stand somewhere in the name.
    let contract = key.starts_with("table=");
    let mut numbers =
        key.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse::<i64>().ok());
    let named = if contract {
        key.ends_with(&format!("-{partition:010}-{first:020}.jsonl.gz"))
    } else {
        numbers.clone().any(|number| number == first) && numbers.any(|number| number == i64::from(partition))
    };
    if !named {
        return Err(format!("{key} is not named after its first record {first}"));
    }
    let hour = |ms: i64| ms / 3_600_000;
    if contract && expected.iter().any(|(_, ms, _)| hour(*ms) > hour(first_ms)) {
        return Err(format!("{key} holds a record of a later hour"));
    }
    Ok(())
}
