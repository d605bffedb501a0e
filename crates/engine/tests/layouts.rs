//! Objects named by any template that is accepted: the chain is found again without the group's offset.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what is wrong by panicking")]

use datapipe_testkit::sim::{Plan, Stage};

mod harness;

use harness::engine_with;

const TEMPLATES: [&str; 6] = [
    "{{topic}}-{{partition}}-{{start_offset}}.gz",
    "lake/{{topic}}/{{partition}}/{{start_offset:padding=true}}/part.jsonl.gz",
    "{{topic}}/p={{partition}}/{{timestamp:unit=yyyy}}-{{timestamp:unit=MM}}-{{timestamp:unit=dd}}/{{start_offset}}.gz",
    "{{timestamp:unit=yyyy}}/{{timestamp:unit=MM}}/{{timestamp:unit=dd}}/{{timestamp:unit=HH}}/{{partition}}/{{topic}}.{{start_offset}}.gz",
    "all/{{timestamp:unit=HH}}.{{topic}}.{{start_offset}}.{{partition}}.jsonl.gz",
    "{{timestamp:unit=yyyy}}/{{start_offset}}+{{partition}}+{{topic}}",
];

#[test]
fn the_chain_is_found_again_under_every_template() {
    for template in TEMPLATES {
        let layout = template.parse().unwrap();
        let mut plan = Plan { spacing_ms_max: 2_000, ..Plan::quiet(7) };
        plan.kafka.partitions = 3;
        plan.settings.object_rows_max = 4;
        let mut stage = Stage::new(plan, engine_with(layout));
        stage.run(60);
        assert_eq!(stage.wrong(), Vec::<String>::new(), "{template}");
        let before = stage.world(|world| world.objects.keys());
        assert!(before.len() > 5, "{template}: {before:?}");
        stage.world(|world| {
            world.kafka.forget_group_offsets();
            world.postgres.insert_rows(20);
        });
        stage.run(10);
        assert_eq!(stage.wrong(), Vec::<String>::new(), "{template}");
        let after = stage.world(|world| world.objects.keys());
        assert!(after.len() > before.len(), "{template}");
    }
}
