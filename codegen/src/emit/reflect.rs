//! Access to fields by their place in the table, for JSON.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::Json;
use super::structs::has_tags;
use super::types::{ident, with_lifetime};
use crate::model::Message;

/// `impl Reflect` of one struct, if it is wanted.
pub(super) fn implementation(message: &Message, index: usize, json: &Json) -> TokenStream {
    let cfg = match json {
        Json::No => return TokenStream::new(),
        Json::Yes => None,
        Json::Feature(feature) => Some(quote!(#[cfg(feature = #feature)])),
    };
    let name = with_lifetime(message, index, "'static");
    let fields = message.structs[index].fields.iter().enumerate();
    let arms = fields.map(|(index, field)| {
        let index = Literal::usize_unsuffixed(index);
        let name = ident(&field.rust_name);
        quote!(#index => self.#name.slot_of(),)
    });
    let unknown_tags = has_tags(message).then(|| {
        let index = Literal::usize_unsuffixed(message.structs[index].fields.len());
        quote!(#index => self.unknown_tags.slot_of(),)
    });
    quote! {
        #cfg
        impl Reflect for #name {
            fn slot(&mut self, index: usize) -> Slot<'_> {
                match index {
                    #(#arms)*
                    #unknown_tags
                    _ => Slot::None,
                }
            }
        }
    }
}
