//! The schema's history, embedded, and whether a database fits this program. Knows no engine: each engine applies what
//! [`pending`] names, every step in a transaction with its row in `schema_migrations`.

use sha2::{Digest as _, Sha256};

use super::{engine::Tx, error::StoreError, rows::Digest};

/// One step of the schema.
pub(super) struct Migration {
    /// 1, 2, 3 without gaps.
    pub(super) version: i64,
    /// For people.
    pub(super) name: &'static str,
    /// The lowest version a program must know to work on a database after this step. Steps that only add keep it low,
    /// so that old and new programs can share a database while they are exchanged.
    pub(super) needs: i64,
    /// The statements.
    pub(super) sql: &'static str,
}

impl Migration {
    /// SHA-256 of the statements, so that a changed step is noticed.
    pub(super) fn checksum(&self) -> Digest {
        Sha256::digest(self.sql.as_bytes()).into()
    }
}

/// A step that a database has been through.
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) needs: i64,
    pub(super) checksum: Digest,
}

/// The histories of all engines from one list, so that a step has the same number, name and `needs` in each.
macro_rules! histories {
    ($( $version:literal $name:literal needs $needs:literal in $file:literal; )*) => {
        /// The steps for the embedded engine.
        pub(super) const SQLITE: &[Migration] = &[ $( Migration {
            version: $version,
            name: $name,
            needs: $needs,
            sql: include_str!(concat!("../../migrations/sqlite/", $file)),
        }, )* ];
        /// The same steps for `PostgreSQL`.
        pub(super) const POSTGRES: &[Migration] = &[ $( Migration {
            version: $version,
            name: $name,
            needs: $needs,
            sql: include_str!(concat!("../../migrations/postgres/", $file)),
        }, )* ];
    };
}

histories! {
    1 "sessions" needs 1 in "0001_sessions.sql";
    2 "bounds" needs 1 in "0002_bounds.sql";
    3 "api_keys" needs 1 in "0003_api_keys.sql";
    4 "credentials" needs 1 in "0004_credentials.sql";
    5 "audit" needs 1 in "0005_audit.sql";
    6 "people" needs 1 in "0006_people.sql";
    7 "imports" needs 1 in "0007_imports.sql";
    8 "notices" needs 1 in "0008_notices.sql";
    9 "groups" needs 1 in "0009_groups.sql";
    10 "drills" needs 1 in "0010_drills.sql";
    11 "apps" needs 1 in "0011_apps.sql";
    12 "applicants" needs 1 in "0012_applicants.sql";
    13 "app_numbers" needs 1 in "0013_app_numbers.sql";
}

/// The step that knows imports. It only adds; once something is imported, a program that does not know it would remove a user
/// and leave what was imported of them, which would then come back, and would let a rotation make two of those users one.
/// So the first import, not the step, has [`require`] stop such programs.
pub(super) const IMPORTS: i64 = 7;

/// The step that knows apps. It only adds; once there is an app, a program that does not know it would let whoever a revoked key
/// or a removed principal was go on with the data keys that they had, and would leave a rotated key's apps to the old one. So
/// the first app, not the step, has [`require`] stop such programs.
pub(super) const APPS: i64 = 11;

/// From now on a program must know that step to work on the database.
pub(super) async fn require(tx: &mut dyn Tx, version: i64) -> Result<(), StoreError> {
    let raise = "UPDATE schema_migrations SET needs = version WHERE version = $1 AND needs < version";
    tx.execute(raise, &[version.into()]).await.map(drop)
}

/// The lowest version a program must know for the database as it is now.
pub(super) async fn needed(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    let needed = tx.first("SELECT MAX(needs) FROM schema_migrations", &[]).await?;
    Ok(needed.map(|row| row.optional_int(0)).transpose()?.flatten().unwrap_or(0))
}

/// Refuses a database that needs more than this program knows.
pub(super) fn check(needed: i64) -> Result<(), StoreError> {
    fits(SQLITE, needed)
}

fn fits(known: &[Migration], needed: i64) -> Result<(), StoreError> {
    let newest = known.last().map_or(0, |migration| migration.version);
    if needed > newest { Err(StoreError::NewerSchema { needed, known: newest }) } else { Ok(()) }
}

/// The steps that a database still needs, in their order, or why this program must not touch it. One below the newest that was
/// applied was left out by a program that did not know it: it is made up for when it only adds to what the first step made, as any
/// does that every program can work with, and refused otherwise, since it may change what later steps rest on.
///
/// A step that a program must know is known by its number, not by being older than the newest. A program that was built without one
/// of those below its own newest does not look so far: where such programs are around, stop them before the step is used.
pub(super) fn pending<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<Vec<&'a Migration>, StoreError> {
    fits(known, applied.iter().map(|step| step.needs).max().unwrap_or(0))?;
    for step in applied.iter().filter(|step| step.version > 1 && step.needs == step.version) {
        if known.iter().all(|migration| migration.version != step.version) {
            let newest = known.last().map_or(0, |migration| migration.version);
            return Err(StoreError::NewerSchema { needed: step.version, known: newest });
        }
    }
    let newest = applied.iter().map(|step| step.version).max().unwrap_or(0);
    let mut pending = Vec::new();
    for migration in known {
        match applied.iter().find(|step| step.version == migration.version) {
            Some(step) if step.checksum != migration.checksum() => {
                return Err(StoreError::MigrationChanged { version: migration.version });
            }
            Some(_) => {}
            None if migration.version < newest && (migration.version == 1 || migration.needs > 1) => {
                return Err(StoreError::MigrationMissed { version: migration.version, newest });
            }
            None => pending.push(migration),
        }
    }
    Ok(pending)
}

/// What a program that knows only the steps before `step` makes of a database that has been through it and needs `needs`.
#[cfg(test)]
pub(super) fn program_before(step: i64, needs: i64) -> Result<(), StoreError> {
    let known = &SQLITE[..usize::try_from(step - 1).expect("steps begin at 1")];
    let been =
        known.iter().map(|known| Applied { version: known.version, needs: known.needs, checksum: known.checksum() });
    let applied: Vec<Applied> = been.chain([Applied { version: step, needs, checksum: [0; 32] }]).collect();
    pending(known, &applied).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{APPS, Applied, IMPORTS, Migration, POSTGRES, SQLITE, pending};
    use crate::store::StoreError;

    const KNOWN: &[Migration] = &[
        Migration { version: 1, name: "one", needs: 1, sql: "SELECT 1" },
        Migration { version: 2, name: "two", needs: 1, sql: "SELECT 2" },
    ];

    fn applied(known: &Migration) -> Applied {
        Applied { version: known.version, needs: known.needs, checksum: known.checksum() }
    }

    fn versions(known: &[Migration], applied: &[Applied]) -> Vec<i64> {
        pending(known, applied).unwrap().iter().map(|migration| migration.version).collect()
    }

    #[test]
    fn only_what_is_missing_is_pending() {
        assert_eq!(versions(KNOWN, &[]), [1, 2]);
        assert_eq!(versions(KNOWN, &[applied(&KNOWN[0])]), [2]);
        assert!(versions(KNOWN, &[applied(&KNOWN[0]), applied(&KNOWN[1])]).is_empty());
    }

    #[test]
    fn a_step_that_was_left_out_is_made_up_for_or_refused_and_never_passed_over() {
        assert!(matches!(
            pending(KNOWN, &[applied(&KNOWN[1])]).err().unwrap(),
            StoreError::MigrationMissed { version: 1, newest: 2 }
        ));
        let adds = Migration { version: 3, name: "three", needs: 1, sql: "SELECT 3" };
        let alters = Migration { version: 3, name: "three", needs: 3, sql: "SELECT 3" };
        let alters_for_some = Migration { version: 3, name: "three", needs: 2, sql: "SELECT 3" };
        let known = |third| {
            let [one, two] = [("one", 1, 1), ("two", 2, 1)];
            let step = |(name, version, needs)| Migration { version, name, needs, sql: "SELECT" };
            [step(one), step(two), third, step(("four", 4, 1)), step(("five", 5, 1))]
        };
        let past = |known: &[Migration]| [0, 1, 3].map(|place| applied(&known[place]));
        let known_adds = known(adds);
        assert_eq!(versions(&known_adds, &past(&known_adds)), [3, 5]);
        let known_alters = known(alters_for_some);
        let error = pending(&known_alters, &past(&known_alters)).err().unwrap();
        assert!(matches!(error, StoreError::MigrationMissed { version: 3, newest: 4 }), "{error:?}");
        let known_alters = known(alters);
        let error = pending(&known_alters, &past(&known_alters)).err().unwrap();
        assert!(matches!(error, StoreError::MigrationMissed { version: 3, newest: 4 }), "{error:?}");
        // In a database that has not come so far it is a step like any other.
        assert_eq!(versions(&known_alters, &past(&known_alters)[..2]), [3, 4, 5]);
    }

    #[test]
    fn a_newer_database_is_refused_unless_its_steps_only_added() {
        let step = |needs| Applied { version: 3, needs, checksum: [9; 32] };
        let old = || KNOWN.iter().map(applied);
        assert!(versions(KNOWN, &old().chain([step(2)]).collect::<Vec<_>>()).is_empty());
        let error = pending(KNOWN, &old().chain([step(3)]).collect::<Vec<_>>()).err().unwrap();
        assert!(matches!(error, StoreError::NewerSchema { needed: 3, known: 2 }));
    }

    #[test]
    fn a_step_that_must_be_known_is_known_by_its_number() {
        let step = |version, needs| Applied { version, needs, checksum: [9; 32] };
        let without_two = [(1, 1), (3, 1)].map(|(version, needs)| Migration { version, name: "", needs, sql: "" });
        let applied = |needs| without_two.iter().map(applied).chain([step(2, needs)]).collect::<Vec<_>>();
        assert!(versions(&without_two, &applied(1)).is_empty(), "it only adds");
        let error = pending(&without_two, &applied(2)).err().unwrap();
        assert!(matches!(error, StoreError::NewerSchema { needed: 2, known: 3 }), "{error:?}");
    }

    #[test]
    fn a_changed_step_is_refused() {
        let mut changed = applied(&KNOWN[1]);
        changed.checksum[0] ^= 1;
        let error = pending(KNOWN, &[applied(&KNOWN[0]), changed]).err().unwrap();
        assert!(matches!(error, StoreError::MigrationChanged { version: 2 }));
    }

    #[test]
    fn the_steps_of_the_imports_and_the_apps_are_those_that_are_meant() {
        for (version, name) in [(IMPORTS, "imports"), (APPS, "apps")] {
            let step = SQLITE.iter().find(|step| step.version == version).unwrap();
            assert_eq!((step.name, step.needs), (name, 1));
        }
    }

    #[test]
    fn the_histories_have_no_gap_and_ask_for_nothing_they_do_not_bring() {
        for history in [SQLITE, POSTGRES] {
            for (place, migration) in (1..).zip(history) {
                assert_eq!(migration.version, place, "{}", migration.name);
                assert!(migration.needs <= migration.version, "{}", migration.name);
            }
        }
    }

    /// Every table and index with its columns, by step, as far as a text tells.
    #[test]
    fn the_histories_make_the_same_tables() {
        fn made(migration: &Migration) -> Vec<String> {
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let mut table = String::new();
            let mut made = Vec::new();
            for line in migration.sql.lines().map(|line| line.split("--").next().unwrap_or_default()) {
                let words = words(line);
                match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    ["CREATE", "TABLE", name, ..] => table = (*name).to_owned(),
                    ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => made.push(words.join(" ")),
                    ["ALTER", "TABLE", name, _, "COLUMN", column, ..] => made.push(format!("{name}.{column}")),
                    [")" | ");", ..] => table.clear(),
                    [column, ..] if !table.is_empty() => made.push(format!("{table}.{column}")),
                    _ => {}
                }
            }
            made
        }
        let names = |history: &[Migration]| -> Vec<_> {
            history.iter().map(|step| (step.version, step.name, step.needs)).collect()
        };
        assert_eq!(names(SQLITE), names(POSTGRES));
        for (sqlite, postgres) in SQLITE.iter().zip(POSTGRES).filter(|(step, _)| step.name != ANEW) {
            assert!(!made(sqlite).is_empty());
            assert_eq!(made(sqlite), made(postgres), "step {}", sqlite.version);
        }
        // The one step that makes tables of one engine anew leaves the columns and the index that they had.
        let step = |history: &[Migration], name: &str| made(history.iter().find(|step| step.name == name).unwrap());
        assert!(step(POSTGRES, ANEW).is_empty());
        let anew: Vec<_> = step(SQLITE, ANEW).iter().map(|made| made.replace("_anew.", ".")).collect();
        let had: Vec<_> = step(SQLITE, "apps").into_iter().filter(|made| !made.starts_with("app_holders.")).collect();
        assert_eq!(anew, had);
    }

    /// The step that makes tables of the embedded engine anew.
    const ANEW: &str = "app_numbers";
}
