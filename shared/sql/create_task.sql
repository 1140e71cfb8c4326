-- Creates a task, and the user's row with the first one. With an idempotency key, once per user and key, until that
-- task is deleted. outcome: done; replayed (the task that was created with the key); conflict (the key was used with
-- another hash); deleted (an earlier attempt created the task, and it was deleted since); void; unknown.
create function task_api_functions.create_task(
    p_user_id text,
    p_email text,                       -- of the user, as the next three; dropped if it can't be stored
    p_name text,
    p_image text,
    p_email_verified boolean,
    p_id uuid,
    p_title text,
    p_description text,
    p_due_date timestamptz,
    p_completed boolean,
    p_idempotency_key text,
    p_idempotency_hash bytea,
    p_attempt uuid,                     -- as the next two: see attempts.sql
    p_is_retry boolean,
    p_void_after timestamptz,
    out outcome text, out id uuid, out number bigint, out user_id text, out title text, out description text,
    out due_date timestamptz, out completed boolean, out completed_at timestamptz,
    out created_at timestamptz, out updated_at timestamptz
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
    v_scope text := set_config('app.user_id', p_user_id, true);
    -- A longer one doesn't fit its index.
    v_email text := case when octet_length(p_email) <= 2600 then p_email end;
    v_known boolean;
    v_updated_at timestamptz;
    v_now timestamptz;
    v_hash bytea;
begin
    loop
        select p_attempt = any (u.attempts || u.voided), u.updated_at
        into v_known, v_updated_at
        from public.users u
        where u.id = p_user_id
        for no key update;
        exit when found;

        if clock_timestamp() > p_void_after then
            outcome := 'void';
            return;
        end if;
        -- On conflict the row is there by now, or the e-mail is another user's.
        insert into public.users (id, email, name, image, email_verified)
        values (p_user_id, v_email, p_name, p_image, p_email_verified and v_email is not null)
        on conflict do nothing;
        if not found then
            insert into public.users (id, name, image)
            values (p_user_id, p_name, p_image)
            on conflict do nothing;
        end if;
        perform task_api_functions.record_use();
    end loop;
    v_now := greatest(clock_timestamp(), v_updated_at);
    if p_is_retry then
        outcome := task_api_functions.judge_retry(p_user_id, p_attempt, p_void_after);
    elsif v_known or clock_timestamp() > p_void_after then
        outcome := 'void';
    end if;
    if outcome = 'done' then
        -- The first attempt carried it out: the task as it is now.
        select case g.outcome when 'done' then 'done' else 'deleted' end, g.id, g.number, g.user_id, g.title,
               g.description, g.due_date, g.completed, g.completed_at, g.created_at, g.updated_at
        into outcome, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from task_api_functions.get_task(p_user_id, p_id, null) g;
        return;
    elsif outcome is not null then
        return;
    end if;

    if p_idempotency_key is not null then
        select 'replayed', t.idempotency_hash, t.id, t.number, t.user_id, t.title, t.description, t.due_date,
               t.completed, t.completed_at, t.created_at, t.updated_at
        into outcome, v_hash, id, number, user_id, title, description, due_date, completed,
             completed_at, created_at, updated_at
        from public.tasks t
        where t.user_id = p_user_id
          and t.idempotency_key = p_idempotency_key;
        if found and v_hash <> p_idempotency_hash then
            outcome := 'conflict';
        end if;
        if outcome is not null then
            return;
        end if;
    end if;

    insert into public.tasks as t (
        id, user_id, title, description, due_date, completed, completed_at,
        created_at, updated_at, idempotency_key, idempotency_hash
    )
    values (
        p_id, p_user_id, p_title, p_description, p_due_date, p_completed, case when p_completed then v_now end,
        v_now, v_now, p_idempotency_key, p_idempotency_hash
    )
    returning 'done', t.id, t.number, t.user_id, t.title, t.description, t.due_date, t.completed,
              t.completed_at, t.created_at, t.updated_at
    into outcome, id, number, user_id, title, description, due_date, completed,
         completed_at, created_at, updated_at;
    update public.users u
    set attempts = (p_attempt || u.attempts)[1:8],
        attempts_evicted = greatest(u.attempts_evicted, u.attempts[8]),
        updated_at = v_now
    where u.id = p_user_id;
    -- The user's first write of this day.
    if v_updated_at::date < v_now::date then
        perform task_api_functions.record_use();
    end if;
end
$$;

grant execute on function task_api_functions.create_task to task_api_endpoints;
