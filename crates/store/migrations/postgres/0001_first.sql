-- The first schema. Numbers stand for the variants of the enums in `domain`; times are milliseconds. Tables are found by
-- the search path of the session, which names the store's own schema.
-- Rows that change are narrow and have no index over what changes, so that an update stays on its page; what is looked
-- for by its state stands in a small table of its own, where rows come and go.
-- Second indexes are partial under a condition that always holds (`seq > 0` and the like) and that only those questions
-- repeat which mean them: the planner, which takes a small table for an empty one, cannot mistake them for the key.

-- The last commit of each process: what is asked after a connection broke in the middle of one.
CREATE TABLE writer (
    id     int8        PRIMARY KEY,
    number int8        NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- One row per project, locked first and written last by every transaction: the head of its log and its counters.
CREATE TABLE project (
    no           int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    last_event   int8  NOT NULL DEFAULT 0,
    digest       bytea NOT NULL,
    pending      int8  NOT NULL DEFAULT 0,
    blocked      int8  NOT NULL DEFAULT 0,
    ready        int8  NOT NULL DEFAULT 0,
    assigned     int8  NOT NULL DEFAULT 0,
    running      int8  NOT NULL DEFAULT 0,
    suspended    int8  NOT NULL DEFAULT 0,
    awaiting     int8  NOT NULL DEFAULT 0,
    retrying     int8  NOT NULL DEFAULT 0,
    completed    int8  NOT NULL DEFAULT 0,
    failed       int8  NOT NULL DEFAULT 0,
    cancelled    int8  NOT NULL DEFAULT 0,
    dead_letters int8  NOT NULL DEFAULT 0,
    score_sum    int8  NOT NULL DEFAULT 0,
    max_depth    int8  NOT NULL DEFAULT 0,
    newest       int8,
    books        int8  NOT NULL DEFAULT 0,
    latest       int8  NOT NULL DEFAULT 0, -- the latest time that a transaction acted in
    last_task    int8  NOT NULL DEFAULT 0,
    last_run     int8  NOT NULL DEFAULT 0,
    classes      int4  NOT NULL DEFAULT 0
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE class (
    project int4 NOT NULL,
    no      int4 NOT NULL,
    class   text NOT NULL,
    PRIMARY KEY (project, no)
);

-- While a task has a row in `lease`, that row tells its state, reason, last_event and started_at; what stands here
-- is then what it was before the claim, or `assigned`. None of the indexed columns ever changes.
CREATE TABLE task (
    project      int4  NOT NULL,
    seq          int8  NOT NULL,
    id           bytea NOT NULL, -- 0 and a UUID, or 1 and a text
    run          int8,
    parent       int8,
    class        int4  NOT NULL,
    state        int2  NOT NULL,
    reason       int2,
    last_event   int8  NOT NULL,
    started_at   int8,
    left_state   int2,
    dead_letter  int2  NOT NULL,
    superseded   int2  NOT NULL,
    priority     int2  NOT NULL,
    source       int2  NOT NULL,
    depth        int4  NOT NULL,
    path_share   int4,
    score        int4  NOT NULL,
    submitted_at int8  NOT NULL,
    run_at       int8,
    deadline     int8,
    estimate     int8,
    finished_at  int8,
    timer        int8,
    open         int8  NOT NULL,
    dead         int8  NOT NULL,
    upstream     int2  NOT NULL,
    dependents   int8  NOT NULL,
    children     int8  NOT NULL,
    join_mode    int2,
    attempts     int8  NOT NULL,
    failures     int8  NOT NULL,
    lost         int8  NOT NULL,
    guarded      int2  NOT NULL,
    asks         int2  NOT NULL,
    wait         int2  NOT NULL, -- 0 no, 1 parked, 2 baton
    thing        text COLLATE "C",
    PRIMARY KEY (project, seq)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

CREATE UNIQUE INDEX task_id ON task (project, id) WHERE seq > 0;
CREATE INDEX task_run ON task (project, run, seq) WHERE run IS NOT NULL;
CREATE INDEX task_parent ON task (project, parent, seq) WHERE parent IS NOT NULL;

-- Written once.
CREATE TABLE body (
    project int4  NOT NULL,
    seq     int8  NOT NULL,
    key     text,
    digest  bytea NOT NULL,
    after   bytea,
    spec    text  NOT NULL,
    PRIMARY KEY (project, seq)
);

CREATE TABLE outcome (
    project int4 NOT NULL,
    seq     int8 NOT NULL,
    error   text,
    usage   text,
    result  text,
    PRIMARY KEY (project, seq)
);

-- Exactly what a claim can find, in the order of claims.
CREATE TABLE ready (
    project int4 NOT NULL,
    class   int4 NOT NULL,
    rank    int4 NOT NULL,
    at      int8 NOT NULL,
    seq     int8 NOT NULL,
    run     int8
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX ready_line ON ready (project, class, rank, at, seq) WHERE seq > 0;
CREATE INDEX ready_run ON ready (project, run, class, rank, at, seq) WHERE run IS NOT NULL;

-- Ready, but kept out of the line under the one thing that it waits for; `run` is 0 outside any run.
CREATE TABLE parked (
    project int4 NOT NULL,
    thing   text COLLATE "C" NOT NULL,
    class   int4 NOT NULL,
    run     int8 NOT NULL,
    rank    int4 NOT NULL,
    at      int8 NOT NULL,
    seq     int8 NOT NULL,
    PRIMARY KEY (project, thing, class, run, rank, at, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE lease (
    project    int4 NOT NULL,
    seq        int8 NOT NULL,
    state      int2 NOT NULL,
    reason     int2,
    last_event int8 NOT NULL,
    started_at int8,
    fence      int8 NOT NULL,
    secret     int8 NOT NULL,
    worker     text COLLATE "C" NOT NULL,
    attempt    int8 NOT NULL,
    claimed_at int8 NOT NULL,
    expires    int8 NOT NULL, -- milliseconds on the clock of this server
    ttl        int8 NOT NULL,
    progress   text,
    PRIMARY KEY (project, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX lease_expires ON lease (project, expires, seq) WHERE seq > 0;

-- Pending, blocked, suspended, awaiting, retrying, failed: few, and looked for by state.
CREATE TABLE aside (
    project int4 NOT NULL,
    state   int2 NOT NULL,
    seq     int8 NOT NULL,
    PRIMARY KEY (project, state, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE timer (
    project int4 NOT NULL,
    at      int8 NOT NULL,
    seq     int8 NOT NULL,
    PRIMARY KEY (project, at, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE edge (
    project   int4 NOT NULL,
    parent    int8 NOT NULL,
    child     int8 NOT NULL,
    condition int2 NOT NULL,
    PRIMARY KEY (project, parent, child)
);

-- `prev` links the events of one task, newest first, so that no index over tasks is needed.
CREATE TABLE event (
    project int4  NOT NULL,
    n       int8  NOT NULL,
    at      int8  NOT NULL,
    kind    int2  NOT NULL,
    task    int8,
    run     int8,
    reason  int2,
    prev    int8  NOT NULL,
    actor   text  NOT NULL,
    digest  bytea NOT NULL,
    data    text,
    PRIMARY KEY (project, n)
);

CREATE TABLE run (
    project      int4  NOT NULL,
    no           int8  NOT NULL,
    id           bytea NOT NULL,
    plan         text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL,
    state        int2  NOT NULL,
    pending      int8  NOT NULL,
    blocked      int8  NOT NULL,
    ready        int8  NOT NULL,
    assigned     int8  NOT NULL,
    running      int8  NOT NULL,
    suspended    int8  NOT NULL,
    awaiting     int8  NOT NULL,
    retrying     int8  NOT NULL,
    completed    int8  NOT NULL,
    failed       int8  NOT NULL,
    cancelled    int8  NOT NULL,
    skipped      int8  NOT NULL,
    submitted_at int8  NOT NULL,
    finished_at  int8,
    PRIMARY KEY (project, no)
) WITH (fillfactor = 50);

CREATE UNIQUE INDEX run_id ON run (project, id) WHERE no > 0;
CREATE INDEX run_plan ON run (project, plan, no) WHERE state >= 0;

-- Which task a key names in a run; `run` is 0 outside any run.
CREATE TABLE name (
    project int4 NOT NULL,
    key     text COLLATE "C" NOT NULL,
    run     int8 NOT NULL,
    seq     int8 NOT NULL,
    PRIMARY KEY (project, key, run)
);

CREATE TABLE held (
    project int4 NOT NULL,
    name    text COLLATE "C" NOT NULL,
    seq     int8 NOT NULL,
    mode    int2 NOT NULL,
    PRIMARY KEY (project, seq, name)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX held_name ON held (project, name, seq) WHERE mode >= 0;

-- Ended tasks whose dependents are settled only up to `dependent`.
CREATE TABLE settle (
    project   int4 NOT NULL,
    seq       int8 NOT NULL,
    dependent int8 NOT NULL,
    PRIMARY KEY (project, seq)
);

CREATE TABLE idem (
    project int4  NOT NULL,
    key     text COLLATE "C" NOT NULL,
    digest  bytea NOT NULL,
    answer  text  NOT NULL,
    at      int8  NOT NULL,
    PRIMARY KEY (project, key)
);

-- `used` grows with every use, so that the least recently used entry is the first of its index.
CREATE TABLE cache (
    project    int4  NOT NULL,
    key        bytea NOT NULL,
    used       int8  NOT NULL,
    stored_at  int8  NOT NULL,
    expires_at int8,
    made_by    bytea NOT NULL,
    result     text,
    PRIMARY KEY (project, key)
);

CREATE INDEX cache_used ON cache (project, used) WHERE used > 0;

-- Small documents: rules, schedules, breakers and the like; `due` is when somebody has to look at one.
CREATE TABLE entry (
    project int4 NOT NULL,
    book    int2 NOT NULL,
    key     text COLLATE "C" NOT NULL,
    value   text NOT NULL,
    due     int8,
    PRIMARY KEY (project, book, key)
);

CREATE INDEX entry_due ON entry (project, book, due, key) WHERE due IS NOT NULL;
