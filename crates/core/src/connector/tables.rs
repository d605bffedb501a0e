//! Which table a source captures: Debezium's lists of schemas and tables, of which one table must remain.
//!
//! A native worker must know its table before it asks the server. So the list of tables has to name them, where Debezium
//! matches what the server has; the other lists are patterns as there.

use super::reader::Reader;
use crate::envelope::Patterns;

const INCLUDE: &str = "table.include.list";
/// The lists that take tables away: by the schema's name or by the table's, what matches or what does not.
const LISTS: [(&str, bool, bool); 3] =
    [("table.exclude.list", false, true), ("schema.include.list", true, false), ("schema.exclude.list", true, true)];

/// The schema and the name of the one table.
pub(super) fn table(reader: &mut Reader<'_>) -> (String, String) {
    let none = (String::new(), String::new());
    let text = reader.required(INCLUDE, "public.users");
    let mut tables = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some(table) = plain(entry) else {
            let why = format!("{entry:?} does not name a table with its schema, and may match any number of them");
            reader.problem(INCLUDE, why, "set one table, as in \"public.users\", its dot plain or escaped");
            return none;
        };
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    if tables.is_empty() {
        // A list that is missing or empty was told as that.
        if !text.trim().is_empty() {
            reader.problem(INCLUDE, format!("{text:?} names no table"), "set one table, as in \"public.users\"");
        }
        return none;
    }
    let named = shown(&tables);
    for (key, of_schema, excludes) in LISTS {
        let Some(list) = reader.optional(key) else { continue };
        match Patterns::parse(list) {
            Err(why) => reader.problem(key, why, "correct it, or leave it out"),
            Ok(patterns) => tables.retain(|(schema, table)| {
                let name = if of_schema { schema.clone() } else { format!("{schema}.{table}") };
                patterns.matches(&name) != excludes
            }),
        }
    }
    match &tables[..] {
        [table] => table.clone(),
        [] => {
            let why = format!("{named} is left out by the other lists of tables and schemas, so nothing is captured");
            reader.problem(INCLUDE, why, "let one table remain");
            none
        }
        more => {
            let why = format!("{} are several tables; one native worker serves one table", shown(more));
            reader.problem(
                INCLUDE,
                why,
                "set one, as in \"public.users\", and give each other table a worker of its own",
            );
            none
        }
    }
}

fn shown(tables: &[(String, String)]) -> String {
    tables.iter().map(|(schema, table)| format!("{schema}.{table}")).collect::<Vec<_>>().join(", ")
}

/// The table that a pattern names, if it names one: words and a dot, which may be escaped or stand in brackets.
pub(super) fn plain(pattern: &str) -> Option<(String, String)> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let plain = pattern.replace("\\.", ".").replace("[.]", ".");
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (schema, table) = plain.split_once('.')?;
    (word(schema) && word(table)).then(|| (schema.to_owned(), table.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::keys::POSTGRES_SOURCE;
    use super::*;
    use crate::port::connect::ConfigMap;

    fn read(pairs: &[(&str, &str)]) -> Result<String, String> {
        let map: ConfigMap = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut reader = Reader::new(&map, &POSTGRES_SOURCE);
        let (schema, table) = table(&mut reader);
        if schema.is_empty() { Err(reader.problems()) } else { Ok(format!("{schema}.{table}")) }
    }

    #[test]
    fn one_table_remains() {
        for pairs in [
            &[(INCLUDE, "public.users")][..],
            &[(INCLUDE, r"^public\.users$")],
            &[(INCLUDE, "public[.]users, public.users")],
            &[(INCLUDE, "public.users,public.orders"), ("table.exclude.list", r"PUBLIC\.ord.*")],
            &[(INCLUDE, "public.users,other.users"), ("schema.include.list", "public")],
            &[(INCLUDE, "public.users,other.users"), ("schema.exclude.list", "oth.*,x")],
        ] {
            assert_eq!(read(pairs).as_deref(), Ok("public.users"), "{pairs:?}");
        }
    }

    #[test]
    fn what_matched_is_named() {
        for (pairs, words) in [
            (&[(INCLUDE, "public.users,public.orders")][..], "public.users, public.orders are several tables"),
            (&[(INCLUDE, r"public\.(users|orders)")], "may match any number"),
            (&[(INCLUDE, "users")], "does not name a table with its schema"),
            (&[(INCLUDE, " , ")], "names no table"),
            (&[(INCLUDE, "public.users"), ("table.exclude.list", ".*")], "public.users is left out"),
            (&[(INCLUDE, "public.users"), ("schema.include.list", "other")], "public.users is left out"),
        ] {
            let problems = read(pairs).unwrap_err();
            assert!(problems.contains(words), "{pairs:?}: {problems}");
        }
    }
}
