#!/usr/bin/env bash
# Follows docs/adding-a-table.md in a copy of the tree: the declaration and every command are taken from the page itself.
# What is built is shared with the tree; the program of the tree is put back at the end.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
copy=$(mktemp -d)
# The copy's datapipe-run stands where the tree's did.
trap 'rm -rf "$copy"; cd "$root"; cargo build --offline -q --bin datapipe-run' EXIT
fail() { echo "adding a table: $*" >&2; exit 1; }

(cd "$root" && tar -c --exclude=./target --exclude=./.git --exclude=./.cache .) | tar -x -C "$copy"
cd "$copy"
page=docs/adding-a-table.md

# The page's n-th fenced block of a language.
block() {
    awk -v open="\`\`\`$1" -v wanted="$2" \
        '$0 == open { n++; inside = (n == wanted); next } /^```$/ { inside = 0 } inside' "$page"
}

bash -euo pipefail -c "$(block sh 1)"
block rust 1 > crates/tables/payments/src/lib.rs
grep -q 'Table::new("payments", 8087)' crates/tables/payments/src/lib.rs || fail "the page's declaration was not found"

# Forgotten dependency: the test that compares folders and registry says so.
if forgotten=$(cargo test --offline -q -p datapipe-catalog --test every_table_is_linked 2>&1); then
    fail "a table that nobody links went unnoticed"
fi
grep -q 'folders under crates/tables' <<< "$forgotten" || fail "the catalog's test failed for another reason: $forgotten"

bash -euo pipefail -c "$(block sh 2)"
if refused=$(cargo check --offline -p datapipe-catalog 2>&1); then
    fail "the compiler did not ask for the use line"
fi
line=$(sed -n 's/.*add `\(use datapipe_table_payments as _;\)`.*/\1/p' <<< "$refused" | head -1)
[ -n "$line" ] || fail "the compiler did not dictate the line: $refused"

bash -euo pipefail -c "$(block sh 4)"
grep -qxF "$line" crates/catalog/src/lib.rs || fail "the page's line is not the compiler's: $line"
cargo test --offline -q -p datapipe-catalog --test every_table_is_linked

plan=$(DATAPIPE_POSTGRES__URL=postgres://cdc@localhost:5432/shop DATAPIPE_KAFKA__BOOTSTRAP=localhost:9092 \
    DATAPIPE_S3__BUCKET=lake cargo run --offline -q --bin datapipe-run -- plan --table payments -o yaml)
for expected in 'slot: debezium_slot_payments' 'publication: dbz_publication_payments' 'data_topic: cdc.public.payments' \
    'port: 8087' "file.max.records: '10000'" 'worker: kafka-connect-payments'; do
    grep -qF "$expected" <<< "$plan" || fail "the plan lacks: $expected"
done
echo "adding a table: payments was added by the page's steps, and its plan is complete"
