-- Who may ask for the codes of a group without a Toc of it: users, applications and teams that operators name.

CREATE TABLE group_applicants (
    group_fp  BLOB NOT NULL REFERENCES known_groups (group_fp) ON DELETE CASCADE,
    principal BLOB NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    bound     BLOB NOT NULL,                                        -- keyed hash of the two
    PRIMARY KEY (group_fp, principal)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_applicants_of ON group_applicants (principal);
