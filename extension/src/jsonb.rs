//! A jsonb value that is passed through untouched, and read only where an expression asks for it.
#![allow(unsafe_code)]

use conductor::expression::{self, Data};
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::fcinfo::direct_function_call_as_datum;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::nullable::Nullable;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use std::ffi::{CStr, CString};

/// A jsonb datum.
#[derive(Debug, Clone, Copy)]
pub struct Jsonb(pg_sys::Datum);

impl Jsonb {
    /// A value that lives as long as the transaction.
    pub fn new(data: &Data) -> Option<Jsonb> {
        Jsonb::from_text(&expression::json_text(data))
    }

    /// JSON text, which lives as long as the transaction. A text that is no JSON is an error of PostgreSQL's.
    pub fn from_text(text: &str) -> Option<Jsonb> {
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the function takes C text.
        let datum = unsafe {
            PgMemoryContexts::TopTransactionContext.switch_to(|_| {
                direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(text.as_ptr()))])
            })
        };
        datum.map(Jsonb)
    }

    /// How much room it takes as stored.
    pub fn bytes(self) -> usize {
        // SAFETY: the datum is a live jsonb.
        unsafe { pg_sys::toast_datum_size(self.0) as usize }
    }

    /// How much room it takes where it is not compressed.
    pub fn bytes_unpacked(self) -> usize {
        // SAFETY: the datum is a live jsonb.
        unsafe { pg_sys::toast_raw_datum_size(self.0) }
    }

    /// The value as expressions see it; the error says why it cannot be read: it is nested too deep.
    pub fn data(self) -> Result<Data, String> {
        // SAFETY: the datum is a live jsonb: it came from a row or an argument and was copied to where the call lives.
        let text = unsafe {
            let detoasted = pg_sys::pg_detoast_datum(self.0.cast_mut_ptr()).cast::<pg_sys::Jsonb>();
            let length = pgrx::varsize_any(detoasted.cast()) as i32;
            CStr::from_ptr(pg_sys::JsonbToCString(std::ptr::null_mut(), &raw mut (*detoasted).root, length))
        };
        expression::parse_json(&text.to_string_lossy())
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

// SAFETY: what it says of itself in SQL is what it is.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

// SAFETY: the datum lives where the result is made.
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
