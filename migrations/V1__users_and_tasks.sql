-- Two walls stand between users. Every statement of the functions filters by the caller's id; and the functions take
-- on the role task_api, which row-level security holds to the rows of the user named in app.user_id.

-- A role belongs to the whole server: another database's migration may have made it.
do $$
begin
    create role task_api nologin;
exception
    when duplicate_object or unique_violation then null;
end
$$;

-- The user that connects takes the role on for one transaction at a time.
grant task_api to current_user;

create table users (
    id              text        primary key,                        -- the token's sub or user_id, opaque
    email           text,                                           -- null where another user has it
    name            text,
    image           text,
    email_verified  boolean     not null default false,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    constraint users_id_length check (char_length(id) between 1 and 255)
);

create unique index users_email on users (email) where email is not null;

create table tasks (
    id                uuid        primary key,                      -- version 7, made by the function
    number            bigint      generated always as identity,     -- the id of the plain contract
    user_id           text        not null references users on delete cascade,
    title             text        not null,
    description       text,
    due_date          timestamptz,
    completed         boolean     not null default false,
    completed_at      timestamptz,                                  -- set while completed
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    idempotency_key   text,
    idempotency_hash  bytea,                                        -- SHA-256 of what the key came with
    constraint tasks_title_length check (char_length(title) between 1 and 255 and btrim(title) <> ''),
    constraint tasks_description_length check (char_length(description) <= 2000),
    constraint tasks_completed_at check (completed = (completed_at is not null)),
    constraint tasks_idempotency_key_length check (char_length(idempotency_key) between 1 and 255),
    constraint tasks_idempotency_hash check ((idempotency_key is null) = (idempotency_hash is null)),
    -- Finds a task by number, and lists in the order of creation: both for one user, as every statement is.
    constraint tasks_number unique (user_id, number)
);

-- Lists newest first.
create index tasks_newest on tasks (user_id, created_at desc, number desc);

create unique index tasks_idempotency on tasks (user_id, idempotency_key) where idempotency_key is not null;

alter table users enable row level security;
alter table tasks enable row level security;

-- Without app.user_id, current_setting is null or empty, and no row is anyone's.
create policy users_own on users to task_api
    using (id = current_setting('app.user_id', true))
    with check (id = current_setting('app.user_id', true));

create policy tasks_own on tasks to task_api
    using (user_id = current_setting('app.user_id', true))
    with check (user_id = current_setting('app.user_id', true));

grant select, insert on users to task_api;
grant select, insert, update, delete on tasks to task_api;
