//! Whether user code runs where the engine works: a trigger, rule, policy, default, constraint or index that someone
//! has added to one of our tables.
//!
//! PostgreSQL's own functions, operators and types have OIDs below 16384; those of this extension are in its schema.
//! All others belong to users.
#![allow(unsafe_code)]

use crate::pg::relation;
use pgrx::pg_sys::{self, Datum, Oid};
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;

/// Fields that name the called functions in PostgreSQL's text form of an expression.
const CALLS: [&str; 4] = [":funcid", ":opfuncid", ":aggfnoid", ":winfnoid"];

/// Side effects of inserting a row into a table.
pub struct AtInsert {
    /// Whether user code runs.
    pub user_code: bool,
    /// Tables that the foreign keys reference.
    pub referred: Vec<Oid>,
}

thread_local! {
    static KNOWN: RefCell<Vec<(Oid, Rc<AtInsert>)>> = const { RefCell::new(Vec::new()) };
}

/// Subscribes the process to changes.
pub fn listen() {
    relation::on_change(|table| {
        KNOWN.with_borrow_mut(|known| known.retain(|(of, _)| table != Oid::INVALID && *of != table));
    });
}

/// Returns the side effects of an insert into a table. The table is locked, so they cannot change until the transaction
/// ends.
pub fn at_insert(table: Oid) -> Rc<AtInsert> {
    // SAFETY: the lock makes the process receive changes, and nothing is borrowed meanwhile.
    unsafe { pg_sys::LockRelationOid(table, pg_sys::RowExclusiveLock as _) };
    let known = KNOWN.with_borrow(|known| known.iter().find(|(of, _)| *of == table).map(|(_, found)| found.clone()));
    known.unwrap_or_else(|| {
        let found = Rc::new(look_at(table));
        KNOWN.with_borrow_mut(|known| known.push((table, found.clone())));
        found
    })
}

/// Whether a rewritten query calls a user function: one from a policy, a rule or a default.
pub fn is_called_by(query: *mut pg_sys::List) -> bool {
    // SAFETY: a list of queries is a node.
    unsafe { text_calls(pg_sys::nodeToString(query.cast::<c_void>())) }
}

fn look_at(table: Oid) -> AtInsert {
    // SAFETY: the relation is locked, open while it is examined, and closed with the lock kept.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::NoLock as _);
        let at_insert = {
            let relation = &*relation;
            let form = &*relation.rd_rel;
            let (referred, has_triggers) = triggers(relation);
            let user_code = form.relhasrules
                || form.relrowsecurity
                || has_triggers
                || has_user_type_column(relation)
                || has_users_expression(relation);
            AtInsert { user_code, referred }
        };
        let at_insert = AtInsert { user_code: at_insert.user_code || has_users_index(relation), ..at_insert };
        pg_sys::table_close(relation, pg_sys::NoLock as _);
        at_insert
    }
}

/// Returns the tables that the foreign keys reference, and whether there is any other trigger.
unsafe fn triggers(relation: &pg_sys::RelationData) -> (Vec<Oid>, bool) {
    // SAFETY: the relation is open.
    let triggers = unsafe {
        let all = relation.trigdesc.as_ref();
        all.map_or(&[][..], |all| std::slice::from_raw_parts(all.triggers, all.numtriggers as usize))
    };
    let of_insert = |trigger: &&pg_sys::Trigger| trigger.tgtype as u32 & pg_sys::TRIGGER_TYPE_INSERT != 0;
    let is_key = |trigger: &&pg_sys::Trigger| trigger.tgisinternal && trigger.tgconstrrelid != Oid::INVALID;
    let (keys, others): (Vec<_>, Vec<_>) = triggers.iter().filter(of_insert).partition(is_key);
    (keys.into_iter().map(|key: &pg_sys::Trigger| key.tgconstrrelid).collect(), !others.is_empty())
}

/// Whether a column has a user-defined type.
unsafe fn has_user_type_column(relation: &pg_sys::RelationData) -> bool {
    // SAFETY: the relation is open.
    let columns = unsafe { pgrx::PgTupleDesc::from_pg_copy(relation.rd_att) };
    columns
        .iter()
        .any(|column| !column.attisdropped && is_user_defined(column.atttypid, |oid| unsafe { type_schema(oid) }))
}

/// Whether a default or a check constraint calls a user function.
unsafe fn has_users_expression(relation: &pg_sys::RelationData) -> bool {
    // SAFETY: the relation is open, and its expressions are strings.
    unsafe {
        let Some(rules) = (*relation.rd_att).constr.as_ref() else { return false };
        let list = |count: u16| usize::from(count);
        let defaults = (0..list(rules.num_defval)).map(|n| (*rules.defval.add(n)).adbin);
        let checks = (0..list(rules.num_check)).map(|n| (*rules.check.add(n)).ccbin);
        defaults.chain(checks).any(|text| text_calls(text))
    }
}

/// Whether an index has an expression or a predicate that calls a user function, or a user-defined operator class.
unsafe fn has_users_index(relation: pg_sys::Relation) -> bool {
    // SAFETY: the relation is open; each index is looked up by its OID in the catalog's cache, and released.
    unsafe {
        let indexes = pg_sys::RelationGetIndexList(relation);
        let count = indexes.as_ref().map_or(0, |list| list.length);
        (0..count).any(|n| {
            let index = pg_sys::list_nth_oid(indexes, n);
            let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
            let tuple = pg_sys::SearchSysCache1(cache, index.into());
            if tuple.is_null() {
                return true;
            }
            let attribute = |number: u32| {
                let mut is_null = false;
                let value = pg_sys::SysCacheGetAttr(cache, tuple, number as i16, &mut is_null);
                (!is_null).then_some(value)
            };
            let expressions = [pg_sys::Anum_pg_index_indexprs, pg_sys::Anum_pg_index_indpred];
            let calls = expressions
                .into_iter()
                .filter_map(attribute)
                .any(|text| text_calls(pg_sys::text_to_cstring(text.cast_mut_ptr())));
            let classes = attribute(pg_sys::Anum_pg_index_indclass).is_none_or(|classes| {
                let classes = &*classes.cast_mut_ptr::<pg_sys::oidvector>();
                classes.values.as_slice(classes.dim1 as usize).iter().any(|class| is_beyond_postgres(*class))
            });
            pg_sys::ReleaseSysCache(tuple);
            calls || classes
        })
    }
}

/// Whether an expression, in PostgreSQL's text form, calls a user function.
unsafe fn text_calls(text: *const c_char) -> bool {
    // SAFETY: the text ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mut words = text.split(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b':' | b'_'));
    while let Some(word) = words.next() {
        let is_function = CALLS.iter().any(|call| call.as_bytes() == word);
        // A stored expression contains its operators, but not the functions that they call.
        if !is_function && word != b":opno" {
            continue;
        }
        let number = words.next().and_then(|number| str::from_utf8(number).ok()?.parse::<u32>().ok());
        let oid = number.map_or(Oid::INVALID, Oid::from_u32);
        let schema = |oid| if is_function { unsafe { pg_sys::get_func_namespace(oid) } } else { Oid::INVALID };
        if is_user_defined(oid, schema) {
            return true;
        }
    }
    false
}

/// Whether an object belongs neither to PostgreSQL nor to this extension.
fn is_user_defined(oid: Oid, schema: impl Fn(Oid) -> Oid) -> bool {
    is_beyond_postgres(oid) && schema(oid) != relation::schema()
}

fn is_beyond_postgres(oid: Oid) -> bool {
    oid.to_u32() >= pg_sys::FirstNormalObjectId
}

unsafe fn type_schema(oid: Oid) -> Oid {
    // SAFETY: a look-up by OID in the catalog's cache, released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::TYPEOID as i32, Datum::from(oid));
        if tuple.is_null() {
            return Oid::INVALID;
        }
        let schema = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_type>()).typnamespace;
        pg_sys::ReleaseSysCache(tuple);
        schema
    }
}
