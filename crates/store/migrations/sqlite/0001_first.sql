-- The first schema. Numbers stand for the variants of the enums in `domain`; times are milliseconds.
-- What a page costs decides the shapes: rows that change are narrow, payloads stand beside them, and a plain life
-- of a task (in line, leased, completed) touches its row at admission and at its end only.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per project, read first and written last by every transaction: the head of its log and its counters.
CREATE TABLE project (
    no           INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    last_event   INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    pending      INTEGER NOT NULL DEFAULT 0,
    blocked      INTEGER NOT NULL DEFAULT 0,
    ready        INTEGER NOT NULL DEFAULT 0,
    assigned     INTEGER NOT NULL DEFAULT 0,
    running      INTEGER NOT NULL DEFAULT 0,
    suspended    INTEGER NOT NULL DEFAULT 0,
    awaiting     INTEGER NOT NULL DEFAULT 0,
    retrying     INTEGER NOT NULL DEFAULT 0,
    completed    INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    cancelled    INTEGER NOT NULL DEFAULT 0,
    dead_letters INTEGER NOT NULL DEFAULT 0,
    score_sum    INTEGER NOT NULL DEFAULT 0,
    max_depth    INTEGER NOT NULL DEFAULT 0,
    newest       INTEGER,
    books        INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE class (
    project INTEGER NOT NULL,
    no      INTEGER NOT NULL,
    class   TEXT    NOT NULL,
    PRIMARY KEY (project, no)
) STRICT, WITHOUT ROWID;

-- While a task has a row in `lease`, that row tells its state, reason, last_event and started_at; what stands here
-- is then what it was before the claim, or `assigned`.
CREATE TABLE task (
    seq          INTEGER PRIMARY KEY,
    project      INTEGER NOT NULL,
    id           ANY     NOT NULL, -- 16 bytes for a UUID, else text
    class        INTEGER NOT NULL,
    run          INTEGER,
    parent       INTEGER,
    state        INTEGER NOT NULL,
    reason       INTEGER,
    left_state   INTEGER,
    dead_letter  INTEGER NOT NULL,
    superseded   INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    source       INTEGER NOT NULL,
    depth        INTEGER NOT NULL,
    path_share   INTEGER,
    score        INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    run_at       INTEGER,
    deadline     INTEGER,
    estimate     INTEGER,
    started_at   INTEGER,
    finished_at  INTEGER,
    timer        INTEGER,
    open         INTEGER NOT NULL,
    dead         INTEGER NOT NULL,
    upstream     INTEGER NOT NULL,
    dependents   INTEGER NOT NULL,
    children     INTEGER NOT NULL,
    join_mode    INTEGER,
    attempts     INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    lost         INTEGER NOT NULL,
    guarded      INTEGER NOT NULL,
    asks         INTEGER NOT NULL,
    wait         INTEGER NOT NULL, -- 0 no, 1 parked, 2 baton
    thing        TEXT,
    last_event   INTEGER NOT NULL,
    UNIQUE (project, id)
) STRICT;

CREATE INDEX task_project ON task (project);
CREATE INDEX task_run ON task (run) WHERE run IS NOT NULL;
CREATE INDEX task_parent ON task (parent) WHERE parent IS NOT NULL;
CREATE INDEX task_timer ON task (project, timer) WHERE timer IS NOT NULL;
-- pending, blocked, suspended, awaiting, retrying, failed: few, and looked for by state. Ready and leased tasks
-- have their own tables, and the completed and cancelled are too many. Written with OR, since SQLite does not see
-- that `state = 0` implies a list with 0 in it.
CREATE INDEX task_aside ON task (project, state)
    WHERE state = 0 OR state = 1 OR state = 5 OR state = 6 OR state = 7 OR state = 9;

-- Written once.
CREATE TABLE body (
    seq    INTEGER PRIMARY KEY,
    key    TEXT,
    digest BLOB NOT NULL,
    after  BLOB,
    spec   TEXT NOT NULL
) STRICT;

CREATE TABLE outcome (
    seq    INTEGER PRIMARY KEY,
    error  TEXT,
    usage  TEXT,
    result TEXT
) STRICT;

-- Exactly what a claim can find, in the order of claims.
CREATE TABLE ready (
    project INTEGER NOT NULL,
    class   INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    run     INTEGER,
    PRIMARY KEY (project, class, rank, at, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX ready_run ON ready (project, run, class, rank, at, seq) WHERE run IS NOT NULL;

-- Ready, but kept out of the line under the one thing that it waits for; `run` is 0 outside any run.
CREATE TABLE parked (
    project INTEGER NOT NULL,
    thing   TEXT    NOT NULL,
    class   INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (project, thing, class, run, rank, at, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
    seq        INTEGER PRIMARY KEY,
    project    INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    reason     INTEGER,
    last_event INTEGER NOT NULL,
    started_at INTEGER,
    fence      INTEGER NOT NULL,
    secret     INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    expires    INTEGER NOT NULL, -- milliseconds since the boot named in `meta`
    ttl        INTEGER NOT NULL,
    progress   TEXT
) STRICT;

CREATE INDEX lease_expires ON lease (project, expires);

CREATE TABLE edge (
    parent    INTEGER NOT NULL,
    child     INTEGER NOT NULL,
    condition INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

-- `n` is the project's number, shifted left by 40 bits, and the event's number in it. `prev` links the events of
-- one task, newest first, so that no index over tasks is needed.
CREATE TABLE event (
    n      INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    task   INTEGER,
    run    INTEGER,
    reason INTEGER,
    prev   INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    digest BLOB    NOT NULL,
    data   TEXT
) STRICT;

CREATE TABLE run (
    no           INTEGER PRIMARY KEY,
    project      INTEGER NOT NULL,
    id           BLOB    NOT NULL,
    plan         TEXT    NOT NULL,
    digest       BLOB    NOT NULL,
    state        INTEGER NOT NULL,
    pending      INTEGER NOT NULL,
    blocked      INTEGER NOT NULL,
    ready        INTEGER NOT NULL,
    assigned     INTEGER NOT NULL,
    running      INTEGER NOT NULL,
    suspended    INTEGER NOT NULL,
    awaiting     INTEGER NOT NULL,
    retrying     INTEGER NOT NULL,
    completed    INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    cancelled    INTEGER NOT NULL,
    skipped      INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    finished_at  INTEGER,
    UNIQUE (project, id)
) STRICT;

CREATE INDEX run_project ON run (project);
CREATE INDEX run_plan ON run (project, plan);

-- Which task a key names in a run; `run` is 0 outside any run.
CREATE TABLE name (
    project INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    run     INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (project, key, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE held (
    project INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    mode    INTEGER NOT NULL,
    PRIMARY KEY (project, name, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_seq ON held (seq);

-- Ended tasks whose dependents are settled only up to `dependent`.
CREATE TABLE settle (
    project   INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    dependent INTEGER NOT NULL,
    PRIMARY KEY (project, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE idem (
    project INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    digest  BLOB    NOT NULL,
    answer  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

-- `used` grows with every use, so that the least recently used entry is the first of its index.
CREATE TABLE cache (
    project    INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    used       INTEGER NOT NULL,
    stored_at  INTEGER NOT NULL,
    expires_at INTEGER,
    made_by    ANY     NOT NULL,
    result     TEXT,
    PRIMARY KEY (project, key)
) STRICT;

CREATE INDEX cache_used ON cache (project, used);

-- Small documents: rules, schedules, breakers and the like; `due` is when somebody has to look at one.
CREATE TABLE entry (
    project INTEGER NOT NULL,
    book    INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    due     INTEGER,
    PRIMARY KEY (project, book, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX entry_due ON entry (project, book, due) WHERE due IS NOT NULL;
