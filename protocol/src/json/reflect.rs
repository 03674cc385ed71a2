//! Access to the fields of any struct by their place in the field table.

use crate::runtime::{Array, Blob, Str, UnknownTags, Uuid};

/// A struct whose fields can be set by their place in the table.
pub trait Reflect {
    /// The field at `index`, or the unknown tagged fields behind the last one.
    fn slot(&mut self, index: usize) -> Slot<'_>;
}

/// A field to be set.
#[allow(missing_docs)] // The names are those of the types.
pub enum Slot<'s> {
    Bool(&'s mut bool),
    Int8(&'s mut i8),
    Int16(&'s mut i16),
    Uint16(&'s mut u16),
    Int32(&'s mut i32),
    Uint32(&'s mut u32),
    Int64(&'s mut i64),
    Float64(&'s mut f64),
    Uuid(&'s mut Uuid),
    String(&'s mut Str<'static>),
    Bytes(&'s mut Blob<'static>),
    Bools(&'s mut Array<'static, bool>),
    Int8s(&'s mut Array<'static, i8>),
    Int16s(&'s mut Array<'static, i16>),
    Uint16s(&'s mut Array<'static, u16>),
    Int32s(&'s mut Array<'static, i32>),
    Uint32s(&'s mut Array<'static, u32>),
    Int64s(&'s mut Array<'static, i64>),
    Float64s(&'s mut Array<'static, f64>),
    Uuids(&'s mut Array<'static, Uuid>),
    Strings(&'s mut Vec<Str<'static>>),
    Blobs(&'s mut Vec<Blob<'static>>),
    Struct(&'s mut dyn Reflect),
    Structs(&'s mut dyn ReflectVec),
    Nullable(&'s mut dyn ReflectOption),
    UnknownTags(&'s mut UnknownTags),
    /// There is no such field.
    None,
}

/// A type that a field can have.
pub trait SlotOf {
    /// The value as a slot.
    fn slot_of(&mut self) -> Slot<'_>;
}

macro_rules! leaf {
    ($($ty:ty => $slot:ident;)*) => {$(
        impl SlotOf for $ty {
            fn slot_of(&mut self) -> Slot<'_> {
                Slot::$slot(self)
            }
        }
    )*};
}

leaf! {
    bool => Bool; i8 => Int8; i16 => Int16; u16 => Uint16; i32 => Int32; u32 => Uint32;
    i64 => Int64; f64 => Float64; Uuid => Uuid; Str<'static> => String; Blob<'static> => Bytes;
    Array<'static, bool> => Bools; Array<'static, i8> => Int8s; Array<'static, i16> => Int16s;
    Array<'static, u16> => Uint16s; Array<'static, i32> => Int32s; Array<'static, u32> => Uint32s;
    Array<'static, i64> => Int64s; Array<'static, f64> => Float64s;
    Array<'static, Uuid> => Uuids; Vec<Str<'static>> => Strings; Vec<Blob<'static>> => Blobs;
    UnknownTags => UnknownTags;
}

impl<T: Reflect> SlotOf for T {
    fn slot_of(&mut self) -> Slot<'_> {
        Slot::Struct(self)
    }
}

impl<T: Reflect + Default> SlotOf for Vec<T> {
    fn slot_of(&mut self) -> Slot<'_> {
        Slot::Structs(self)
    }
}

impl<T: SlotOf + Default> SlotOf for Option<T> {
    fn slot_of(&mut self) -> Slot<'_> {
        Slot::Nullable(self)
    }
}

/// A vector of structs.
pub trait ReflectVec {
    /// Removes all elements.
    fn clear(&mut self);
    /// Adds an element at its default, and gives it.
    fn grow(&mut self) -> Option<&mut dyn Reflect>;
}

impl<T: Reflect + Default> ReflectVec for Vec<T> {
    fn clear(&mut self) {
        Vec::clear(self);
    }

    fn grow(&mut self) -> Option<&mut dyn Reflect> {
        self.push(T::default());
        self.last_mut().map(|element| element as &mut dyn Reflect)
    }
}

/// A value that may be null.
pub trait ReflectOption {
    /// Makes it null.
    fn set_null(&mut self);
    /// Makes it a value at its default, and gives it.
    fn set_default(&mut self) -> Slot<'_>;
}

impl<T: SlotOf + Default> ReflectOption for Option<T> {
    fn set_null(&mut self) {
        *self = None;
    }

    fn set_default(&mut self) -> Slot<'_> {
        self.insert(T::default()).slot_of()
    }
}
