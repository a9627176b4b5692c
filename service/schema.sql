-- The order book of one partition. Applied to the partition's writer, in database `orders`, by its owner; the roles
-- `service` and `monitor` must exist. Safe to apply again at any time. Every name is qualified, so that the caller's
-- search_path does not matter.

select pg_advisory_xact_lock(hashtextextended('meridian schema', 0));

-- Which homes this database may write. A row holds from `first` up to the `first` of the next row, so that the rows
-- together cover every home. Rows are changed and never taken away: what `found_partition` made once is not made again.
-- Where a range was moved away, `moved_to` names the partition that has it; null while the move is under way. A range that
-- a move has begun with (`moving_to`) may be written on one timeline only: a member that is promoted meanwhile may lack
-- the end of the move, which another database has seen, so it writes none of these homes until the move goes on.
create table if not exists public.home_ranges (
    first text primary key,
    owned boolean not null,
    moving_to text,
    timeline text check ((moving_to is null) = (timeline is null)),
    moved_to text check (not owned or moved_to is null),
    changed_at timestamptz not null default now()
);
drop table if exists public.homes;  -- of an earlier version, which never wrote a row into it

-- The homes that a new partition begins with: those whose customers were first seen while it served their place. A home
-- reads like 01/us-east/7f: the slot of that partition, the customer's region, and one of 256 parts of its customers.
-- Homes that begin with a letter are of an earlier version, and belong to `main`, whose slot is 0.
create or replace function public.found_partition(slot integer) returns void
language sql
as $$
    insert into public.home_ranges (first, owned)
    values ('', slot = 0),
           (to_char(slot, 'FM00') || '/', true),
           (to_char(slot + 1, 'FM00') || '/', false),
           ('A', slot = 0)
    on conflict do nothing
$$;

-- The timeline that a writer writes on now.
create or replace function public.timeline() returns text
language sql
as $$
    select substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
$$;

-- Lets a range begin at a home, so that what begins there can be changed by itself.
create or replace function public.begin_range(at text) returns void
language sql
as $$
    insert into public.home_ranges (first, owned, moving_to, timeline, moved_to)
    select at, r.owned, r.moving_to, r.timeline, r.moved_to from public.home_ranges r
    where r.first <= at order by r.first desc limit 1
    on conflict do nothing
$$;

-- What a move writes as it closes homes, and what travels with their rows: whoever has it has all that came before.
create table if not exists public.move_marks (
    home text primary key,
    mark text not null
);

-- The homes of customers who do not belong to `main`; used in the database of `main` alone. It lies wherever `main` may
-- lie, which may be where those customers' data may not, so it knows them by a keyed digest of their name only. A home
-- never changes once it stands here.
create table if not exists public.directory (
    digest bytea primary key,
    home text not null,
    settled_at timestamptz not null default now()
);

-- `home` is in every primary key, because a publication that filters rows on a column outside the replica identity
-- makes every UPDATE fail. A customer has one home in a partition, hence the second key. `last_sequence` numbers all orders
-- that were ever placed, `cancelled` counts those that their user took away: what else is missing was lost.
create table if not exists public.customers (
    home text not null,
    customer text not null,
    last_sequence bigint not null default 0,
    cancelled bigint not null default 0,
    primary key (home, customer),
    constraint customers_customer_key unique (customer)
) with (fillfactor = 80);
alter table public.customers add column if not exists cancelled bigint not null default 0;  -- as of an earlier version

-- The id comes first in the key, so that one index answers a look-up by id without knowing the home.
create table if not exists public.orders (
    home text not null,
    id uuid not null default uuidv7(),
    customer text not null,
    item text not null,
    quantity integer not null check (quantity >= 1),
    sequence bigint not null check (sequence >= 1),
    created_at timestamptz not null,
    revision bigint not null default 1,
    primary key (id, home),
    constraint orders_customer_sequence_key unique (customer, sequence)
);
alter table public.orders add column if not exists revision bigint not null default 1;  -- of tables of an earlier version

create table if not exists public.idempotency_keys (
    home text not null,
    customer text not null,
    key text not null,
    request_hash bytea not null,
    order_id uuid not null,
    created_at timestamptz not null,
    answer jsonb,
    primary key (customer, key, home)
);
-- The order as the request left it, or as it was when the request cancelled it: the order itself may be another by now, or
-- gone. Beside its columns, for a `change` what was asked: whoever has to do it again elsewhere finds it here
-- (operations/reconciliation.py). Keys of an earlier version get it once, while no order was ever changed.
do $$
begin
    if not exists (
        select from pg_catalog.pg_attribute
        where attrelid = 'public.idempotency_keys'::regclass and attname = 'answer' and not attisdropped
    ) then
        alter table public.idempotency_keys add column answer jsonb;
        update public.idempotency_keys k set answer = to_jsonb(o)
        from public.orders o where o.id = k.order_id and o.home = k.home;
    end if;
end;
$$;
create index if not exists idempotency_keys_created_at on public.idempotency_keys (created_at);

-- Whether this database may be written only under a lease. One row, or none: no lease is asked for. It is replicated
-- like any data, so whoever becomes writer asks for one too.
create table if not exists public.lease_policy (
    only_row boolean primary key default true check (only_row),
    required boolean not null
);

-- The lease, which the keeper beside this server writes. Unlogged on purpose: it is not replicated, it is empty after a
-- crash and after a promotion, and writing it waits for no disk and no standby.
create unlogged table if not exists public.lease (
    only_row boolean primary key default true check (only_row),
    term bigint not null,
    valid_until timestamptz not null
) with (fillfactor = 10);

-- Whether this server may be written now. Volatile and by the clock itself, not the transaction's: it is asked again
-- after a commit.
create or replace function public.may_write() returns boolean
language plpgsql
as $$
begin
    return not exists (select from public.lease_policy where required)
        or exists (select from public.lease where valid_until > clock_timestamp());
end;
$$;

-- For clients other than place_order. A superuser is let through, because operations repair things. As SQLSTATE that
-- of a read-only transaction, which clients know as "not here, not now".
create or replace function public.require_lease() returns trigger
language plpgsql
as $$
begin
    if not public.may_write() and current_setting('is_superuser') = 'off' then
        raise exception 'this region holds no lease to write' using errcode = '25006';
    end if;
    return null;
end;
$$;
create or replace trigger require_lease before insert or update or delete or truncate on public.customers
    for each statement execute function public.require_lease();
create or replace trigger require_lease before insert or update or delete or truncate on public.orders
    for each statement execute function public.require_lease();
create or replace trigger require_lease before insert or update or delete or truncate on public.idempotency_keys
    for each statement execute function public.require_lease();
create or replace trigger require_lease before insert or update or delete or truncate on public.directory
    for each statement execute function public.require_lease();

-- What a region can say of its own standing, where a lease is asked for: on a writer how long the lease still lasts
-- (negative: how long ago it ended), on a replica how long ago it heard from its writer; null where that is not known.
-- With the rights of its owner, because only a monitor may look at the receiver.
create or replace function public.standing(
    out lease_required boolean, out lease_left_ms bigint, out heard_ms bigint
)
language plpgsql security definer set search_path = ''
as $$
begin
    lease_required := exists (select from public.lease_policy where required);
    if not lease_required then
        return;
    end if;
    if pg_is_in_recovery() then
        select extract(epoch from clock_timestamp() - r.last_msg_receipt_time) * 1000 into heard_ms
        from pg_stat_get_wal_receiver() r;
    else
        select extract(epoch from l.valid_until - clock_timestamp()) * 1000 into lease_left_ms from public.lease l;
    end if;
end;
$$;

-- The home of a customer, as far as this member of `main` knows; null where it knows none.
create or replace function public.home_of(for_customer text, for_digest bytea) returns text
language sql stable
as $$
    select coalesce(
        (select c.home from public.customers c where c.customer = for_customer),
        (select d.home from public.directory d where d.digest = for_digest)
    )
$$;

-- Gives a customer of another partition the home that is wished for, or says which one the customer has already. Asked of
-- the writer of `main`, because only one place can settle what two regions wish at the same time. Outcomes as below:
-- settled, not_writer, no_lease, lease_lost.
create or replace procedure public.settle_home(
    in for_customer text,
    in for_digest bytea,
    in wished text,
    in patience text,
    inout outcome text,
    inout settled_home text
)
language plpgsql
as $$
begin
    if pg_is_in_recovery() then
        outcome := 'not_writer';
        return;
    end if;
    if not public.may_write() then
        outcome := 'no_lease';
        return;
    end if;
    perform set_config('lock_timeout', patience, true);
    perform pg_advisory_xact_lock(hashtextextended(for_customer, 1));  -- as the first orders of a customer do
    settled_home := public.home_of(for_customer, for_digest);
    if settled_home is null then
        settled_home := wished;
        insert into public.directory (digest, home) values (for_digest, wished);
    else
        perform pg_logical_emit_message(true, 'meridian', 'settled');  -- waits for standbys, as a replay does
    end if;
    outcome := 'settled';
    commit;
    if not public.may_write() then
        outcome := 'lease_lost';
    end if;
end;
$$;

-- The barrier for moving homes: writers share the lock, the move takes it alone. The flag is read in a statement of its own,
-- whose snapshot is newer than the wait for the lock; in one statement it could be the flag of before. Where the home was
-- moved away from here, `moved_to` is the partition that has it.
create or replace function public.enter_home(in for_home text, out is_here boolean, out moved_to text)
language plpgsql
as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('meridian homes', 0));
    select r.owned and coalesce(r.timeline = public.timeline(), true), r.moved_to into is_here, moved_to
    from public.home_ranges r where r.first <= for_home order by r.first desc limit 1;
    is_here := coalesce(is_here, false);
end;
$$;

-- Places one order, and says what became of it in `outcome`:
--   placed, replayed    the order, and a write position that no earlier than its commit was flushed
--   no_lease            this region holds no lease to write; nothing was written
--   lease_lost          the lease ran out before the commit was done: it may count or not
--   in_flight           another session holds this customer's key right now
--   mismatch            the key was used for another request
--   moved               this database does not write the customer's home, which is `settled_home`; where that was moved
--                       away from here, `moved_to` is the partition that has it
--   not_writer          this server is a replica
-- A procedure, not a function, because only a procedure may commit and then read the position: one round trip.
-- Call it with autocommit and without statement_timeout: that timer would run on while the commit waits for a
-- standby, and a commit cancelled there looks like success to the client.
-- It runs with the rights of its caller: a procedure that commits cannot be SECURITY DEFINER, and its owner is a
-- superuser whose rights the service should not borrow.
drop procedure if exists public.place_order(
    text, text, text, integer, text, bytea, text, text, text, bigint, text, text
);  -- of an earlier version
create or replace procedure public.place_order(
    in for_home text,
    in for_customer text,
    in for_digest bytea,
    in for_item text,
    in for_quantity integer,
    in for_key text,
    in for_hash bytea,
    in patience text,
    inout outcome text,
    inout placed_id text,
    inout placed_sequence bigint,
    inout placed_at text,
    inout write_position text,
    inout settled_home text,
    inout moved_to text
)
language plpgsql
as $$
declare
    true_home text;
    is_here boolean;
    kept_home text;
    stamp timestamptz;
    known public.idempotency_keys;
    found_order public.orders;
begin
    if pg_is_in_recovery() then
        outcome := 'not_writer';
        return;
    end if;
    if not public.may_write() then
        outcome := 'no_lease';
        return;
    end if;
    perform set_config('lock_timeout', patience, true);

    -- Held until the commit is done, so a second request with this key never overtakes the first.
    if not pg_try_advisory_xact_lock(hashtextextended(for_customer || chr(31) || for_key, 0)) then
        outcome := 'in_flight';
        return;
    end if;

    true_home := public.home_of(for_customer, for_digest);
    if true_home is null then
        -- The first orders of a customer come one after the other: the row is unique in two ways, ON CONFLICT watches one
        -- of them, and two inserts at once could meet in the other, as an error.
        perform pg_advisory_xact_lock(hashtextextended(for_customer, 1));
        true_home := public.home_of(for_customer, for_digest);
    end if;
    true_home := coalesce(true_home, for_home);
    settled_home := true_home;

    select e.is_here, e.moved_to into is_here, moved_to from public.enter_home(true_home) e;
    if not is_here then
        outcome := 'moved';
        return;
    end if;

    select k.* into known from public.idempotency_keys k where k.customer = for_customer and k.key = for_key;
    if found and known.created_at > now() - interval '24 hours' then
        if known.request_hash <> for_hash then
            outcome := 'mismatch';
            return;
        end if;
        found_order := jsonb_populate_record(null::public.orders, known.answer);
        if known.answer is null then  -- written by a session that had begun before the column was there
            select o.* into strict found_order from public.orders o where o.id = known.order_id and o.home = known.home;
        end if;
        outcome := 'replayed';
        -- A transaction that writes nothing does not wait for standbys. The first commit may have been cut short in that
        -- wait, so the replay writes a record and waits in its stead: what it acknowledges is as durable as a new order.
        perform pg_logical_emit_message(true, 'meridian', 'replayed');
    else
        insert into public.customers as c (home, customer, last_sequence)
        values (true_home, for_customer, 1)
        on conflict (customer) do update set last_sequence = c.last_sequence + 1
        returning c.home, c.last_sequence into kept_home, found_order.sequence;
        if kept_home <> true_home then
            -- Another region placed this customer's very first order a moment ago: start again under its home's lock.
            raise exception 'the home of the customer was settled by another request' using errcode = '40001';
        end if;
        -- The clock is read under the customer's row lock: created_at and sequence then agree.
        stamp := clock_timestamp();
        insert into public.orders (home, id, customer, item, quantity, sequence, created_at)
        values (true_home, uuidv7(), for_customer, for_item, for_quantity, found_order.sequence, stamp)
        returning * into found_order;
        insert into public.idempotency_keys (home, customer, key, request_hash, order_id, created_at, answer)
        values (true_home, for_customer, for_key, for_hash, found_order.id, stamp, to_jsonb(found_order))
        on conflict (customer, key, home) do update
        set request_hash = excluded.request_hash, order_id = excluded.order_id, created_at = excluded.created_at,
            answer = excluded.answer;
        outcome := 'placed';
    end if;
    placed_id := found_order.id::text;
    placed_sequence := found_order.sequence;
    placed_at := to_char(found_order.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
    commit;
    write_position := pg_current_wal_flush_lsn()::text;
    -- However long the commit took, or this process was stopped: nothing is acknowledged after the lease's end, when
    -- another region may already be the writer.
    if not public.may_write() then
        outcome := 'lease_lost';
    end if;
end;
$$;

-- Changes one order or, with `cancels`, takes it away. Where `based_on` is given, only while that is the order's revision.
-- `for_home` is null where the caller knows no home of the customer; the writer of `main` knows one, or there is no order.
-- Outcomes as above, and:
--   changed, cancelled  the order as it is now, or as it was
--   missing             the customer has no such order
--   stale               its revision is `found_revision`
create or replace procedure public.change_order(
    in for_home text,
    in for_customer text,
    in for_digest bytea,
    in for_id uuid,
    in for_item text,
    in for_quantity integer,
    in cancels boolean,
    in based_on bigint,
    in for_key text,
    in for_hash bytea,
    in patience text,
    inout outcome text,
    inout found_item text,
    inout found_quantity integer,
    inout found_sequence bigint,
    inout found_at text,
    inout found_revision bigint,
    inout write_position text,
    inout settled_home text,
    inout moved_to text
)
language plpgsql
as $$
declare
    is_here boolean;
    known public.idempotency_keys;
    found_order public.orders;
begin
    if pg_is_in_recovery() then
        outcome := 'not_writer';
        return;
    end if;
    if not public.may_write() then
        outcome := 'no_lease';
        return;
    end if;
    perform set_config('lock_timeout', patience, true);
    if not pg_try_advisory_xact_lock(hashtextextended(for_customer || chr(31) || for_key, 0)) then
        outcome := 'in_flight';
        return;
    end if;

    settled_home := coalesce(public.home_of(for_customer, for_digest), for_home);
    if settled_home is null then
        outcome := 'missing';
        return;
    end if;
    select e.is_here, e.moved_to into is_here, moved_to from public.enter_home(settled_home) e;
    if not is_here then
        outcome := 'moved';
        return;
    end if;

    select k.* into known from public.idempotency_keys k where k.customer = for_customer and k.key = for_key;
    if found and known.created_at > now() - interval '24 hours' then
        if known.request_hash <> for_hash then
            outcome := 'mismatch';
            return;
        end if;
        found_order := jsonb_populate_record(null::public.orders, known.answer);
        outcome := 'replayed';
        perform pg_logical_emit_message(true, 'meridian', 'replayed');  -- waits for standbys, as above
    else
        select o.* into found_order from public.orders o
        where o.id = for_id and o.home = settled_home and o.customer = for_customer for update;
        if not found then
            outcome := 'missing';
            -- That an order is gone may rest on a cancellation that no standby has yet; this waits in its stead.
            perform pg_logical_emit_message(true, 'meridian', 'missing');
        elsif found_order.revision <> based_on then
            outcome := 'stale';
            found_revision := found_order.revision;
            return;
        else
            if cancels then
                delete from public.orders o where o.id = for_id and o.home = settled_home;
                update public.customers c set cancelled = c.cancelled + 1
                where c.home = settled_home and c.customer = for_customer;
                outcome := 'cancelled';
            else
                update public.orders o
                set item = coalesce(for_item, o.item), quantity = coalesce(for_quantity, o.quantity),
                    revision = o.revision + 1
                where o.id = for_id and o.home = settled_home
                returning * into found_order;
                outcome := 'changed';
            end if;
            insert into public.idempotency_keys (home, customer, key, request_hash, order_id, created_at, answer)
            values (
                settled_home, for_customer, for_key, for_hash, for_id, clock_timestamp(),
                to_jsonb(found_order) || jsonb_build_object(
                    'change', jsonb_build_object('cancels', cancels, 'item', for_item, 'quantity', for_quantity)
                )
            )
            on conflict (customer, key, home) do update
            set request_hash = excluded.request_hash, order_id = excluded.order_id, created_at = excluded.created_at,
                answer = excluded.answer;
        end if;
    end if;
    found_item := found_order.item;
    found_quantity := found_order.quantity;
    found_sequence := found_order.sequence;
    found_at := to_char(found_order.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
    found_revision := found_order.revision;
    commit;
    write_position := pg_current_wal_flush_lsn()::text;
    if not public.may_write() then
        outcome := 'lease_lost';
    end if;
end;
$$;

-- Removes up to `batch` keys that are older than a day, the oldest first, and says how many.
create or replace function public.remove_expired_keys(batch integer) returns integer
language sql
as $$
    with expired as (
        select k.customer, k.key, k.home from public.idempotency_keys k
        where k.created_at <= now() - interval '24 hours'
        order by k.created_at limit batch for update skip locked
    ), removed as (
        delete from public.idempotency_keys k using expired e
        where k.customer = e.customer and k.key = e.key and k.home = e.home
        returning 1
    )
    select count(*)::integer from removed;
$$;

-- Whose an order is, its place among theirs and its time stay: the service may not change them.
revoke all on all tables in schema public from public, service, monitor;
revoke all on procedure public.place_order, public.change_order, public.settle_home from public;
revoke all on function public.remove_expired_keys, public.standing, public.home_of, public.found_partition, public.timeline,
    public.begin_range, public.enter_home from public;
grant usage on schema public to service, monitor;
grant select, insert, update (item, quantity, revision), delete on public.orders to service;
grant select, insert, update (last_sequence, cancelled) on public.customers to service;
grant select, insert, update, delete on public.idempotency_keys to service;
grant select, insert on public.directory to service;
grant select on public.home_ranges, public.lease_policy, public.lease to service, monitor;
grant execute on procedure public.place_order, public.change_order, public.settle_home to service;
grant execute on function public.remove_expired_keys, public.home_of, public.timeline, public.enter_home to service;
grant execute on function public.standing to service, monitor;

-- Only where there are keepers, and where members are copied, are there such roles. Moving homes copies rows.
do $$
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'replicator') then
        grant usage on schema public to replicator;
        grant select on public.customers, public.orders, public.idempotency_keys, public.move_marks to replicator;
    end if;
    if exists (select from pg_catalog.pg_roles where rolname = 'keeper') then
        grant usage on schema public to keeper;
        grant select, insert, update on public.lease to keeper;
    end if;
end;
$$;
