-- Each user's list has a revision, which every write of that user raises. Nothing here reads or rewrites a table's rows:
-- the functions fill in what a user's row lacks with that user's next write.

-- Fail and be run again, rather than make every request wait behind this one.
set local lock_timeout = '5s';

alter table users
    add column revision      bigint  not null default 0,    -- raised by one with each write
    add column revised_by    uuid,                          -- the write that raised it last. If it is not the first of
                                                            -- attempts, code that knows no revisions wrote since
    add column task_count    integer,                       -- null: not counted yet
    add column changes_from  bigint  not null default 0,    -- deletions after this revision are remembered
    add column budget_from   timestamptz not null default '-infinity';  -- the write budget is what accrued since then

-- Without an index: it would cost each update a quarter more, and the changes of a list are found by reading the tasks
-- of one user.
alter table tasks
    add column revision      bigint  not null default 0;    -- the list's revision at the task's last change

-- The order of creation is that of number, because creates of one user take turns.
drop index tasks_newest;

-- No foreign keys below: rows are only written while the user's row is locked, and erase_user deletes them.

-- So that a copy of the list can follow deletions, for 30 days.
create table deleted_tasks (
    user_id     user_id      not null,
    revision    bigint       not null,                      -- the list's revision at the deletion
    id          uuid         not null,
    number      bigint       not null,
    deleted_at  timestamptz  not null,
    primary key (user_id, revision)
);

-- Writes that were carried out under an Idempotency-Key, for 24 hours. tasks.idempotency_key is what code that doesn't
-- know this table reads.
create table idempotency_keys (
    user_id     user_id      not null,
    key         text         not null,
    hash        bytea        not null,                      -- SHA-256 of what the key came with
    task_id     uuid         not null,                      -- the task that was written, and its number
    task_number bigint       not null,
    used_at     timestamptz  not null,
    primary key (user_id, key),
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255)
);

-- What must be known of a user who was erased, for as long as a write from before may still arrive.
create table erased_users (
    id_hash     bytea        primary key,                   -- SHA-256 of the user's id
    attempts    uuid[]       not null,                      -- as in users, like the next two
    attempts_evicted  uuid,
    voided      uuid[]       not null,
    erased_at   timestamptz  not null
);

alter table deleted_tasks enable row level security;
alter table idempotency_keys enable row level security;
alter table erased_users enable row level security;

create policy deleted_tasks_own on deleted_tasks to task_api
    using (user_id = current_setting('app.user_id', true))
    with check (user_id = current_setting('app.user_id', true));

create policy idempotency_keys_own on idempotency_keys to task_api
    using (user_id = current_setting('app.user_id', true))
    with check (user_id = current_setting('app.user_id', true));

-- Anyone's next erasure removes the rows that have served their purpose.
create policy erased_users_own on erased_users to task_api
    using (
        id_hash = sha256(convert_to(current_setting('app.user_id', true), 'UTF8'))
        or erased_at < now() - interval '5 minutes'
    )
    with check (id_hash = sha256(convert_to(current_setting('app.user_id', true), 'UTF8')));

grant delete on users to task_api;
grant update (revision, revised_by, task_count, changes_from, budget_from) on users to task_api;
grant select, insert, delete on deleted_tasks to task_api;
grant select, insert, delete on idempotency_keys to task_api;
grant select, insert, update, delete on erased_users to task_api;
