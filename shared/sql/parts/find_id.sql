    if p_id is null then
        p_id := (
            select t.id
            from public.tasks t
            where t.user_id = p_user_id
              and t.number = p_number
        );
    end if;
