//! A jsonb value that is passed through unchanged, and parsed only if an expression looks into it.
#![allow(unsafe_code)]

use conductor::expression::opaque::{self, Source};
use conductor::expression::{self, Data};
use conductor::interrupt;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum, UnboxDatum};
use pgrx::direct_function_call;
use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::nullable::Nullable;
use pgrx::pg_sys::{self, JsonbIteratorToken};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use std::ffi::{CStr, CString};

/// Maximum nesting depth of a readable value: the parser of its text goes no deeper.
const READABLE_LEVELS: usize = 127;

/// Minimum number of bytes per level of nesting.
const LEVEL: usize = 8;

/// A jsonb datum.
#[derive(Debug, Clone, Copy)]
pub struct Jsonb(pg_sys::Datum);

impl Jsonb {
    /// Returns a value that lives as long as the transaction. If the data is a stored value, that is used as it is.
    pub fn new(data: &Data) -> Option<Jsonb> {
        match opaque::source::<Unread>(data) {
            Some(Unread(stored)) => Some(*stored),
            None => Jsonb::from_text(&expression::json_text(data)),
        }
    }

    /// Returns the value of a JSON text, which lives as long as the transaction. Invalid JSON raises an error in
    /// PostgreSQL.
    pub fn from_text(text: &str) -> Option<Jsonb> {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the function takes a C string.
        let datum = unsafe {
            PgMemoryContexts::TopTransactionContext.switch_to(|_| {
                direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(text.as_ptr()))])
            })
        };
        datum.map(Jsonb)
    }

    /// Returns its size as stored.
    pub fn bytes(self) -> usize {
        // SAFETY: the datum is a live jsonb.
        unsafe { pg_sys::toast_datum_size(self.0) as usize }
    }

    /// Returns its uncompressed size.
    pub fn raw_bytes(self) -> usize {
        // SAFETY: the datum is a live jsonb.
        unsafe { pg_sys::toast_raw_datum_size(self.0) }
    }

    /// Returns why expressions cannot use it; `None` if they can.
    pub fn obstacle(self) -> Option<&'static str> {
        let mut obstacle = None;
        self.any(|depth, number| {
            if depth > READABLE_LEVELS {
                obstacle = Some("it is nested too deeply");
            } else if number.is_some_and(is_huge) {
                obstacle = Some("it contains a number that is out of range for a double");
            }
            obstacle.is_some()
        });
        obstacle
    }

    /// Whether it is nested more than `levels` deep.
    fn is_deeper_than(self, levels: usize) -> bool {
        self.raw_bytes() >= levels * LEVEL && self.any(|depth, _| depth > levels)
    }

    /// Walks through its levels, given by depth, and its numbers until `is_it` returns true for one.
    fn any(self, mut is_it: impl FnMut(usize, Option<pg_sys::Numeric>) -> bool) -> bool {
        let mut depth = 0;
        // SAFETY: the iterator and the value that it fills are set up as it requires, and it terminates. A value tagged
        // as a number is one.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(&raw mut (*self.unpacked()).root);
            let mut value = pg_sys::JsonbValue::default();
            loop {
                interrupt::check();
                let number = match pg_sys::JsonbIteratorNext(&raw mut iterator, &raw mut value, false) {
                    JsonbIteratorToken::WJB_DONE => return false,
                    JsonbIteratorToken::WJB_BEGIN_ARRAY | JsonbIteratorToken::WJB_BEGIN_OBJECT => {
                        depth += 1;
                        None
                    }
                    JsonbIteratorToken::WJB_END_ARRAY | JsonbIteratorToken::WJB_END_OBJECT => {
                        depth -= 1;
                        continue;
                    }
                    _ if value.type_ == pg_sys::jbvType::jbvNumeric => Some(value.val.numeric),
                    _ => continue,
                };
                if is_it(depth, number) {
                    return true;
                }
            }
        }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.has(pg_sys::JB_FOBJECT)
    }

    /// Whether its header has this flag.
    fn has(self, flag: u32) -> bool {
        // SAFETY: the datum is a live jsonb.
        unsafe { (*self.unpacked()).root.header & flag != 0 }
    }

    /// Returns the value as expressions see it. If expressions cannot use it, they fail even if they only pass it on:
    /// the recipient could not read it either.
    pub fn data(self) -> Data {
        match self.obstacle() {
            Some(obstacle) => expression::unreadable(format!("a value cannot be used: {obstacle}")),
            None => self.usable_data(),
        }
    }

    /// Does the same for a value that is known to have no obstacle.
    pub fn usable_data(self) -> Data {
        // SAFETY: the datum is a live jsonb.
        let unread = Unread(Jsonb(pg_sys::Datum::from(unsafe { self.unpacked() })));
        if unread.0.has(pg_sys::JB_FSCALAR) { unread.read() } else { opaque::data(unread) }
    }

    /// Returns it as JSON text.
    pub fn text(self) -> String {
        // SAFETY: the datum is a live jsonb: it came from a row or an argument and was copied to memory that lives as
        // long as the call.
        let text = unsafe {
            let unpacked = self.unpacked();
            let length = pgrx::varsize_any(unpacked.cast()) as i32;
            CStr::from_ptr(pg_sys::JsonbToCString(std::ptr::null_mut(), &raw mut (*unpacked).root, length))
        };
        text.to_string_lossy().into_owned()
    }

    /// Returns the value detoasted: itself, or a copy.
    unsafe fn unpacked(self) -> *mut pg_sys::Jsonb {
        // SAFETY: the datum is a live jsonb.
        unsafe { pg_sys::pg_detoast_datum(self.0.cast_mut_ptr()).cast() }
    }
}

/// Converts a stored value to data; a missing value becomes null. If the value cannot be read, the expressions that use
/// it fail, and with them their workflow, but not the call: nothing once stored may prevent an execution from ending.
pub fn as_data(value: Option<Jsonb>) -> Data {
    value.map_or_else(|| Data::from(()), Jsonb::data)
}

/// Whether a number is larger than any double. PostgreSQL stores numbers in digits of four decimal places. A short
/// number, which is marked by its first bit, has fewer than 64 of them before the point; in a long one, the second two
/// bytes give the weight of the first digit.
fn is_huge(number: pg_sys::Numeric) -> bool {
    /// Weight of the first digit of the largest double.
    const LARGEST: i16 = 308 / 4;
    // SAFETY: a number is a varlena that begins with its header; only a long one is sure to have a weight after it.
    let place = unsafe {
        let header = pgrx::vardata_any(number.cast()).cast::<u16>();
        if header.read_unaligned() & 0x8000 != 0 {
            return false;
        }
        header.add(1).cast::<i16>().read_unaligned()
    };
    match place {
        LARGEST => {
            // SAFETY: it is a number, and the result is a C string.
            let text = unsafe { direct_function_call::<&CStr>(pg_sys::numeric_out, &[Some(number.into())]) };
            let read = text.and_then(|text| text.to_str().ok()?.parse::<f64>().ok());
            !read.is_some_and(f64::is_finite)
        }
        place => place > LARGEST,
    }
}

/// An object or a list that no expression has looked into yet.
struct Unread(Jsonb);

// SAFETY: a backend has one thread.
unsafe impl Send for Unread {}
// SAFETY: as above.
unsafe impl Sync for Unread {}

impl Source for Unread {
    fn read(&self) -> Data {
        expression::parse_json(&self.0.text()).unwrap_or_else(expression::unreadable)
    }

    fn is_list(&self) -> bool {
        self.0.has(pg_sys::JB_FARRAY)
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn is_deeper_than(&self, levels: usize) -> bool {
        self.0.is_deeper_than(levels)
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(Jsonb(datum))
    }

    unsafe fn from_datum_in_memory_context(
        mut context: PgMemoryContexts,
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        let original = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: jsonb is a varlena, passed by reference; its copy lives as long as the context it is made in.
        let copy = unsafe {
            let length = pgrx::varsize_any(original);
            let copy = context.switch_to(|_| pg_sys::palloc(length).cast::<u8>());
            std::ptr::copy_nonoverlapping(original.cast::<u8>(), copy, length);
            copy
        };
        Some(Jsonb(pg_sys::Datum::from(copy)))
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the SQL type declared here is the actual one.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

// SAFETY: the array may be freed before its elements are used, so each element is copied to memory that lives as long
// as the transaction.
unsafe impl UnboxDatum for Jsonb {
    type As<'src> = Jsonb;

    unsafe fn unbox<'src>(datum: Datum<'src>) -> Jsonb
    where
        Self: 'src,
    {
        let context = PgMemoryContexts::TopTransactionContext;
        // SAFETY: an element that is not null is a jsonb.
        let copy =
            unsafe { Jsonb::from_datum_in_memory_context(context, datum.sans_lifetime(), false, pg_sys::JSONBOID) };
        copy.unwrap_or(Jsonb(pg_sys::Datum::null()))
    }
}

// SAFETY: the datum lives in the memory context of the result.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: it is a jsonb, as the function is declared.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: the datum of an argument lives as long as the call.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller has made sure that it is not null.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Jsonb(pg_sys::Datum::null()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: the function is declared with jsonb here.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}
