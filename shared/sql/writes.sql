-- What all writes have in common: each locks the user's row, is judged, and is recorded there.
--
-- If an endpoint's connection breaks, the endpoint sends its write again without knowing whether the first
-- attempt was carried out. Both attempts have the same id, a UUID version 7, and each has a deadline
-- (p_void_after). A user's row stores the ids of the last writes that were carried out (attempts), and of
-- writes whose retry arrived before their first attempt (voided).

-- Locks the user's row and records the write, unless the write must not be carried out. The caller carries
-- it out if outcome is null: then the task exists and can't change any more. Otherwise outcome is:
--   nothing    p_is_write is false and nothing prevents the call (task)
--   done       an earlier attempt carried out the write (task)
--   replayed   an earlier request with the key carried it out (task)
--   deleted    the same, and the task has been deleted since
--   conflict   the key was used with a different request
--   limited    too many writes
--   full       too many tasks
--   not_found  the user has no such task
--   changed    the task's version is none of the expected ones (task)
--   void       not carried out: too late
--   unknown    an earlier attempt may have been carried out
--   no_user    the user has no row
create function task_api_functions.begin_write(
    p_user_id text,
    p_is_write boolean,                 -- false: the call changes nothing, but is judged like a write
    p_added integer,                    -- by how much the number of tasks grows: 1, 0 or -1
    p_tasks_per_user integer,           -- only for a create
    inout p_id uuid,                    -- the task, identified by its id or its number; returns the id
    p_number bigint,
    p_expected_revisions bigint[],      -- with the next parameter, the versions to write to; null: any
    p_expected_times timestamptz[],
    p_idempotency_key text,
    p_idempotency_hash bytea,
    p_writes_per_minute integer,
    p_attempt uuid,
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text,
    out revision bigint,                -- the list's revision after the write
    out written_at timestamptz,         -- this and the next are null if the user has no row
    out budget_since timestamptz,
    out task public.tasks
)
language plpgsql
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_cost interval := case
        when p_writes_per_minute > 0 then 60000000 / p_writes_per_minute * interval '1 microsecond'
        else interval '0'
    end;
    v_user public.users;
    v_key public.idempotency_keys;
    v_is_judged boolean := false;
begin
    if p_id is null then
        -- A number always belongs to the same id, so it can be looked up before the lock is taken.
        p_id := (select t.id from public.tasks t where t.user_id = p_user_id and t.number = p_number);
    end if;
    loop
        -- Most writes need nothing but this statement. If the row was locked by a write of the same user, its
        -- revision is no longer that of this statement's snapshot, and neither may be the task.
        update public.users u
        set revision = u.revision + 1,
            task_count = u.task_count + p_added,
            -- The budget holds at most ten minutes' worth of writes.
            budget_from =
                greatest(u.budget_from, greatest(u.updated_at, v_now) - interval '10 minutes') + v_cost,
            attempts = (p_attempt || u.attempts)[1:8],
            attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
            updated_at = greatest(u.updated_at, v_now)
        where u.id = p_user_id
          and (
              v_is_judged
              or p_is_write and not p_is_retry and p_idempotency_key is null
              and v_now <= p_void_after
              and p_attempt <> all (u.attempts || u.voided)
              and u.budget_from + v_cost <= greatest(u.updated_at, v_now)
              and (p_added < 1 or u.task_count < p_tasks_per_user)
              and u.updated_at::date >= v_now::date and u.revision % 256 <> 0
              and exists (select from public.users s where s.id = p_user_id and s.revision = u.revision)
              and (p_added = 1 or exists (
                  select
                  from public.tasks t
                  where t.user_id = p_user_id
                    and t.id = p_id
                    and (p_expected_revisions is null or task_api_functions.is_among(
                        t.revision, t.updated_at, p_expected_revisions, p_expected_times
                    ))
              ))
          )
        returning u.revision, u.updated_at, u.budget_from
        into revision, written_at, budget_since;
        if found then
            exit when v_is_judged or clock_timestamp() <= p_void_after;
            -- It waited for a lock whose holder changed nothing.
            raise lock_not_available using message = 'the write waited past its deadline';
        end if;

        select u.* into v_user from public.users u where u.id = p_user_id for no key update;
        if not found then
            outcome := 'no_user';
            exit;
        end if;
        v_now := clock_timestamp();
        written_at := greatest(v_now, v_user.updated_at);
        budget_since := greatest(v_user.budget_from, written_at - interval '10 minutes');

        if p_is_retry then
            outcome := task_api_functions.judge_retry(v_user, p_attempt, p_void_after);
        elsif p_attempt = any (v_user.attempts || v_user.voided) or v_now > p_void_after then
            outcome := 'void';
        end if;
        -- If the attempt's outcome is unknown, the key can decide it.
        if p_idempotency_key is not null and (outcome is null or outcome = 'unknown') then
            select k.* into v_key
            from public.idempotency_keys k
            where k.user_id = p_user_id
              and k.key = p_idempotency_key;
            if found then
                outcome := case
                    when v_key.hash <> p_idempotency_hash then 'conflict'
                    when p_added < 1 and (v_key.task_id <> p_id or v_key.task_number <> p_number) then 'conflict'
                    else 'replayed'
                end;
            end if;
        end if;
        if outcome is null and p_is_write and budget_since + v_cost > written_at then
            outcome := 'limited';
        end if;
        exit when outcome in ('void', 'unknown', 'conflict', 'limited');

        -- The task as it is now. A retry of a deletion doesn't return it.
        if outcome is null and p_added < 1 or p_added >= 0 and outcome is not null then
            select t.* into task
            from public.tasks t
            where t.user_id = p_user_id
              and t.id = coalesce(v_key.task_id, p_id);
            if not found then
                outcome := case when outcome is null then 'not_found' else 'deleted' end;
            elsif outcome is null and p_expected_revisions is not null and not task_api_functions.is_among(
                task.revision, task.updated_at, p_expected_revisions, p_expected_times
            ) then
                outcome := 'changed';
            end if;
        elsif outcome is null and v_user.task_count >= p_tasks_per_user then
            outcome := 'full';
        end if;
        if outcome is null and not p_is_write then
            outcome := 'nothing';
        end if;
        exit when outcome is not null;

        if p_idempotency_key is not null then
            insert into public.idempotency_keys (user_id, key, hash, task_id, task_number, used_at)
            values (p_user_id, p_idempotency_key, p_idempotency_hash, p_id, task.number, written_at);
        end if;
        if v_user.updated_at::date < v_now::date or v_user.revision % 256 = 0 then
            perform task_api_functions.forget(p_user_id);
        end if;
        v_is_judged := true;
    end loop;
end
$$;

-- Decides whether to carry out a retry. The caller has locked the user's row. Returns:
--   null     carry it out
--   done     the first attempt was carried out
--   void     the deadline has passed
--   unknown  the first attempt may have been carried out, but later writes may have evicted its id
create function task_api_functions.judge_retry(p_user public.users, p_attempt uuid, p_void_after timestamptz)
returns text language plpgsql
as $$
begin
    if p_attempt = any (p_user.attempts) then
        return 'done';
    end if;
    -- The first attempt must not be carried out after this retry, whatever the retry's outcome. After its
    -- deadline it isn't carried out in any case, so the id is only needed until then. The minute covers a
    -- clock that is set back.
    update public.users u
    set voided = p_attempt || case when u.voided_until > clock_timestamp() then u.voided else '{}' end,
        voided_until = greatest(u.voided_until, p_void_after + interval '1 minute')
    where u.id = p_user.id;
    return case
        when clock_timestamp() > p_void_after then 'void'
        when p_attempt <= p_user.attempts_evicted then 'unknown'
    end;
end
$$;

-- Whether a version of a task or a list is one of the given versions. A null among the revisions matches any
-- version.
create function task_api_functions.is_among(
    p_revision bigint,
    p_updated_at timestamptz,
    p_revisions bigint[],
    p_times timestamptz[]
)
returns boolean language sql immutable
return exists (
    select
    from unnest(p_revisions, p_times) as v (revision, updated_at)
    where v.revision is null
       or v.revision = p_revision and v.updated_at = p_updated_at
);

-- Deletes what is no longer needed: the user's idempotency keys after 24 hours and deletions after 30 days, or
-- as soon as there are 10,000 newer ones, and what is stored of erased users. Also records that this schema
-- is in use, so that migrate doesn't remove it.
--
-- It runs with the user's first write of a day and with every 256th. So there is little to delete, whatever
-- the user has done.
create function task_api_functions.forget(p_user_id text)
returns void language plpgsql
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_most constant integer := 10000;
    v_revision bigint;
begin
    delete from public.idempotency_keys k
    where k.user_id = p_user_id
      and (k.used_at < v_now - interval '24 hours' or k.used_at < (
          select k.used_at
          from public.idempotency_keys k
          where k.user_id = p_user_id
          order by k.used_at desc
          limit 1 offset v_most - 1
      ));

    with forgotten as (
        delete from public.deleted_tasks d
        where d.user_id = p_user_id
          and (d.deleted_at < v_now - interval '30 days' or d.revision < (
              select d.revision
              from public.deleted_tasks d
              where d.user_id = p_user_id
              order by d.revision desc
              limit 1 offset v_most - 1
          ))
        returning d.revision
    )
    select max(f.revision) into v_revision
    from forgotten f;
    if v_revision is not null then
        update public.users u
        set changes_from = greatest(u.changes_from, v_revision)
        where u.id = p_user_id;
    end if;

    delete from public.erased_users e where e.erased_at < v_now - interval '5 minutes';

    update public.function_schemas
    set last_used = current_date
    where name = (
        select s.name
        from public.function_schemas s
        where s.name = 'task_api_functions' and s.last_used < current_date
        -- Another session that records the same holds the lock.
        for update skip locked
    );
end
$$;
