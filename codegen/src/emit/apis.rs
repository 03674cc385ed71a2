//! Tables and enums over all APIs.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::Emitter;
use super::table::range;
use super::types::{ident, with_lifetime};
use crate::model::{Kind, Message};
use crate::versions::Versions;
use heck::ToShoutySnakeCase;

impl Emitter<'_> {
    /// `apis.rs`: API keys, the table of APIs, enums of all requests and responses, and a macro
    /// that lists all messages.
    pub(super) fn apis(&self) -> TokenStream {
        let runtime = &self.runtime;
        let keys = self.keys();
        let table = self.api_table();
        let requests = self.dispatch(Kind::Request);
        let responses = self.dispatch(Kind::Response);
        let list = self.list();
        quote! {
            //! What there is once for all APIs: keys, the table, enums of requests and responses.

            use #runtime::*;
            use crate::api::ApiInfo;

            #keys
            #table
            #requests
            #responses
            #list
        }
    }

    fn requests(&self) -> Vec<&Message> {
        let mut requests: Vec<&Message> = self
            .messages
            .iter()
            .filter(|m| m.kind == Kind::Request)
            .collect();
        requests.sort_by_key(|message| message.api_key);
        requests
    }

    fn keys(&self) -> TokenStream {
        let requests = self.requests();
        let constants = requests.iter().map(|message| {
            let api = message.api_name();
            let name = ident(&api.replace("KRaft", "Kraft").to_shouty_snake_case());
            let key = Literal::i16_unsuffixed(message.api_key.unwrap_or(-1));
            let doc = format!(" {}", message.top().doc);
            quote! {
                #[doc = #doc]
                pub const #name: ApiKey = ApiKey(#key);
            }
        });
        quote! {
            impl ApiKey { #(#constants)* }
        }
    }

    fn api_table(&self) -> TokenStream {
        let requests = self.requests();
        let rows = requests.iter().map(|request| {
            let name = request.api_name();
            let key = Literal::i16_unsuffixed(request.api_key.unwrap_or(-1));
            let versions = range(request.versions);
            let flexible = range(request.flexible.intersect(request.versions));
            let unstable = request.latest_unstable;
            let listeners = &request.listeners;
            let request_headers = headers(&request.headers);
            let response = self.response_of(request);
            let response_headers = headers(response.map_or(&[], |r| r.headers.as_slice()));
            let deprecated = range(request.deprecated);
            quote! {
                ApiInfo {
                    key: ApiKey(#key),
                    name: #name,
                    versions: #versions,
                    flexible: #flexible,
                    deprecated: #deprecated,
                    latest_version_unstable: #unstable,
                    listeners: &[#(#listeners),*],
                    request_headers: &[#(#request_headers),*],
                    response_headers: &[#(#response_headers),*],
                }
            }
        });
        quote! {
            /// Every API, by key.
            pub static APIS: &[ApiInfo] = &[#(#rows),*];
        }
    }

    /// An enum over all requests or all responses, with decoding by key and version.
    fn dispatch(&self, kind: Kind) -> TokenStream {
        let mut messages: Vec<&Message> = self
            .messages
            .iter()
            .filter(|m| m.kind == kind && !m.versions.is_empty())
            .collect();
        messages.sort_by_key(|message| message.api_key);
        let (name, doc) = if kind == Kind::Request {
            (ident("AnyRequest"), " Any request.")
        } else {
            (ident("AnyResponse"), " Any response.")
        };
        let each = |emit: &dyn Fn(&Message) -> TokenStream| -> TokenStream {
            messages
                .iter()
                .map(|message| {
                    let cfg = self.cfg(message);
                    let emitted = emit(message);
                    quote!(#cfg #emitted)
                })
                .collect()
        };
        let variants = each(&|message| {
            let variant = ident(message.api_name());
            let module = ident(&message.module);
            let ty = with_lifetime(message, 0, "'a");
            let doc = format!(" {}", message.top().doc);
            quote!(#[doc = #doc] #variant(super::#module::#ty),)
        });
        let decode = each(&|message| {
            let variant = ident(message.api_name());
            let key = Literal::i16_unsuffixed(message.api_key.unwrap_or(-1));
            quote!(#key => crate::api::decode_as!(Self::#variant, bytes, version, limits),)
        });
        let keys = each(&|message| {
            let variant = ident(message.api_name());
            let key = Literal::i16_unsuffixed(message.api_key.unwrap_or(-1));
            quote!(Self::#variant(_) => ApiKey(#key),)
        });
        let encode = each(&|message| {
            let variant = ident(message.api_name());
            quote!(Self::#variant(message) => message.encode(version, out),)
        });
        quote! {
            #[doc = #doc]
            #[cfg(feature = "dispatch")]
            #[derive(Clone, Debug, PartialEq)]
            #[non_exhaustive]
            pub enum #name<'a> { #variants }

            #[cfg(feature = "dispatch")]
            impl<'a> #name<'a> {
                /// Reads the message of an API that fills `bytes`.
                ///
                /// # Errors
                /// When no API has the key, or the bytes are not its message at this version.
                #[inline]
                pub fn decode(
                    key: ApiKey,
                    version: i16,
                    bytes: &'a [u8],
                    limits: &Limits,
                ) -> Result<Self, DecodeError> {
                    match key.0 {
                        #decode
                        _ => Err(DecodeError::unknown_api(key)),
                    }
                }

                /// The API's key.
                #[inline]
                pub fn api_key(&self) -> ApiKey {
                    match self { #keys }
                }

                /// Appends the message's bytes to `out`.
                ///
                /// # Errors
                /// When the value is not one that the version can carry.
                #[inline]
                pub fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                    match self { #encode }
                }
            }
        }
    }

    fn list(&self) -> TokenStream {
        let names = self
            .messages
            .iter()
            .filter(|m| !m.versions.is_empty())
            .map(|message| ident(&message.top().rust_name));
        quote! {
            /// Calls a macro with the names of all messages, separated by commas.
            ///
            /// Tables over all messages are made where they are needed, so that nobody else
            /// compiles the code of every message.
            #[cfg(feature = "all")]
            #[macro_export]
            macro_rules! for_each_message {
                ($($callback:ident)::+) => {
                    $($callback)::+! { #(#names),* }
                };
            }
        }
    }
}

fn headers(headers: &[(Versions, i16)]) -> Vec<TokenStream> {
    headers
        .iter()
        .map(|(versions, header)| {
            let versions = range(*versions);
            let header = Literal::i16_unsuffixed(*header);
            quote!((#versions, #header))
        })
        .collect()
}
