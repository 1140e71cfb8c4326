-- Endpoints call functions that belong to task_api, one for each operation. migrate installs them after the numbered
-- migrations, because they change more often than the tables do. Nothing here reads or rewrites a table's rows.

-- Fail and be run again, rather than make every request wait behind this one.
set local lock_timeout = '5s';

-- Each write of a user locks and updates the user's row, so the row can say which writes were carried out.
alter table users
    add column attempts          uuid[] not null default '{}',  -- the last writes carried out, the newest first
    add column attempts_evicted  uuid,                          -- the greatest that is no longer among them
    add column voided            uuid[] not null default '{}',  -- writes that may still arrive but came too late
    add column voided_until      timestamptz;                   -- no write in voided can arrive in time after this

-- Half of each page stays free: a new version of a row fits beside the old one, and no index changes.
alter table users set (fillfactor = 50);

-- Every statement that writes to a table parses the table's CHECK constraints again; a session parses a domain's once.
-- The values that are there have passed the constraints that the domains replace.
create domain user_id as text;
create domain task_title as text;
create domain task_description as text;

drop policy users_own on users;
alter table users alter column id type user_id;
create policy users_own on users to task_api
    using (id = current_setting('app.user_id', true))
    with check (id = current_setting('app.user_id', true));

alter table tasks alter column title type task_title, alter column description type task_description;

alter domain user_id add constraint user_id_length check (char_length(value) between 1 and 255) not valid;
alter domain task_title
    add constraint task_title_length check (char_length(value) between 1 and 255 and btrim(value) <> '') not valid;
alter domain task_description
    add constraint task_description_length check (char_length(value) <= 2000) not valid;

alter table users drop constraint users_id_length;
alter table tasks drop constraint tasks_title_length, drop constraint tasks_description_length;

-- The schemas that migrate installed functions in.
create table function_schemas (
    name        text  primary key,                              -- names the functions' text by a part of its SHA-256
    first_used  date  not null default current_date,
    last_used   date  not null default current_date             -- by migrate, or by a write
);

grant usage on schema public to task_api;
grant update (updated_at, attempts, attempts_evicted, voided, voided_until) on users to task_api;
grant select, update (last_used) on function_schemas to task_api;

-- The role that endpoints log in as: it may call the functions, and nothing else. It can log in once it has a password
-- and the right to: alter role task_api_endpoints login password '…'
do $$
begin
    create role task_api_endpoints nologin noinherit;
exception
    when duplicate_object or unique_violation then null;
end
$$;
