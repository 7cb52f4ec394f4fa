//! The macro by which a store that wraps another passes calls on.

/// Writes methods of [`Store`](crate::store::Store) that call the same method of another store.
///
/// It stands inside an `impl Store` and names the methods that it writes; the others are written by hand. No method
/// of the trait has a default, so one that is in neither place does not compile.
///
/// ```
/// use async_trait::async_trait;
/// use hookwire::store::{Claimed, ClaimRequest, MemoryStore, Store, StoreError, delegate_store};
///
/// /// Claims nothing while maintenance is under way.
/// #[derive(Debug)]
/// struct Maintenance(MemoryStore);
///
/// #[async_trait]
/// impl Store for Maintenance {
///     async fn claim(&self, _: &ClaimRequest) -> Result<Claimed, StoreError> {
///         Ok(Claimed::default())
///     }
///
///     delegate_store! { |self| self.0;
///         registry, commit, health, disabled, tenants, publish, route, redeliver, add, erase_payload, recover, claim_of,
///         settle, release, wake, poll_every, event, messages, deliveries, attempts, stats, count, statistics, tend, erase }
/// }
/// ```
///
/// With a second closure, each call goes through an expression, which gets the method's name and the future of the
/// inner call, and makes the future of the outer one. `poll_every` is no future and is always passed on as it is.
///
/// ```
/// use std::future::Future;
/// use async_trait::async_trait;
/// use hookwire::store::{Store, StoreError, delegate_store};
///
/// /// Prints calls that fail.
/// #[derive(Debug)]
/// struct Printed<S>(S);
///
/// impl<S: Store> Printed<S> {
///     async fn print<T: Send>(
///         &self,
///         method: &str,
///         call: impl Future<Output = Result<T, StoreError>> + Send,
///     ) -> Result<T, StoreError> {
///         call.await.inspect_err(|error| println!("{method}: {error}"))
///     }
/// }
///
/// #[async_trait]
/// impl<S: Store> Store for Printed<S> {
///     delegate_store! { |self| self.0; wake, poll_every }
///     delegate_store! { |self| self.0, |method, call| self.print(method, call);
///         registry, commit, health, disabled, tenants, publish, route, redeliver, add, erase_payload, recover, claim, claim_of, settle, release,
///         event, messages, deliveries, attempts, stats, count, statistics, tend, erase }
/// }
/// ```
#[macro_export]
macro_rules! delegate_store {
    (|$this:ident| $inner:expr; $($method:ident),+ $(,)?) => {
        $($crate::delegate_store! { @$method [$this, $inner, |_method, call| call] })+
    };
    (|$this:ident| $inner:expr, |$name:ident, $call:ident| $outer:expr; $($method:ident),+ $(,)?) => {
        $($crate::delegate_store! { @$method [$this, $inner, |$name, $call| $outer] })+
    };

    // A method as `#[async_trait]` writes it: that attribute does not see what a macro inside of it makes.
    (@write $method:ident $($life:lifetime)*, ($($arg:ident: $type:ty),*) -> $output:ty,
        [$this:ident, $inner:expr, |$name:ident, $call:ident| $outer:expr]
    ) => {
        fn $method<'life0, $($life,)* 'async_trait>(
            &'life0 $this,
            $($arg: $type),*
        ) -> ::std::pin::Pin<::std::boxed::Box<
            dyn ::std::future::Future<Output = $output> + ::std::marker::Send + 'async_trait,
        >>
        where
            'life0: 'async_trait,
            $($life: 'async_trait,)*
            Self: 'async_trait,
        {
            let $name = ::std::stringify!($method);
            let $call = $crate::store::Store::$method(&$inner, $($arg),*);
            ::std::boxed::Box::pin($outer)
        }
    };
    (@try $method:ident $($life:lifetime)*, ($($args:tt)*) -> $output:ty, $to:tt) => {
        $crate::delegate_store! {
            @write $method $($life)*, ($($args)*)
            -> ::std::result::Result<$output, $crate::store::StoreError>, $to
        }
    };

    (@registry $to:tt) => {
        $crate::delegate_store! {
            @try registry 'life1, (tenant: &'life1 $crate::model::TenantId) -> $crate::registry::Registry, $to
        }
    };
    (@commit $to:tt) => {
        $crate::delegate_store! {
            @try commit 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                expected: $crate::registry::Revision,
                change: &'life2 $crate::registry::RegistryChange
            ) -> $crate::registry::Revision, $to
        }
    };
    (@health $to:tt) => {
        $crate::delegate_store! {
            @try health 'life1, (tenant: &'life1 $crate::model::TenantId, hook_id: $crate::model::HookId)
            -> ::std::option::Option<$crate::delivery::Health>, $to
        }
    };
    (@disabled $to:tt) => {
        $crate::delegate_store! {
            @try disabled 'life1,
            (since: $crate::model::Timestamp, page: &'life1 $crate::model::PageRequest)
            -> $crate::model::Page<$crate::store::DisabledWebhook>, $to
        }
    };
    (@tenants $to:tt) => {
        $crate::delegate_store! {
            @try tenants 'life1, (page: &'life1 $crate::model::PageRequest)
            -> $crate::model::Page<$crate::model::TenantId>, $to
        }
    };
    (@publish $to:tt) => {
        $crate::delegate_store! {
            @try publish 'life1 'life2, (
                publications: &'life1 [$crate::store::Publication],
                hold: ::std::option::Option<&'life2 $crate::store::ClaimRequest>
            ) -> $crate::store::Published, $to
        }
    };
    (@route $to:tt) => {
        $crate::delegate_store! {
            @try route 'life1, (routed: &'life1 [$crate::store::Routed])
            -> ::std::vec::Vec<$crate::store::RouteAnswer>, $to
        }
    };
    (@redeliver $to:tt) => {
        $crate::delegate_store! {
            @try redeliver 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                redeliveries: &'life2 [$crate::store::Redelivery]
            ) -> ::std::vec::Vec<::std::option::Option<$crate::model::DeliveryId>>, $to
        }
    };
    (@add $to:tt) => {
        $crate::delegate_store! {
            @try add 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                additions: &'life2 [$crate::store::Addition]
            ) -> ::std::vec::Vec<::std::option::Option<$crate::model::DeliveryId>>, $to
        }
    };
    (@erase_payload $to:tt) => {
        $crate::delegate_store! {
            @try erase_payload 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                message: &'life2 $crate::model::MessageId
            ) -> ::std::primitive::bool, $to
        }
    };
    (@recover $to:tt) => {
        $crate::delegate_store! {
            @try recover 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                recovery: &'life2 $crate::store::Recovery
            ) -> $crate::store::Recovered, $to
        }
    };
    (@claim $to:tt) => {
        $crate::delegate_store! {
            @try claim 'life1, (request: &'life1 $crate::store::ClaimRequest) -> $crate::store::Claimed, $to
        }
    };
    (@claim_of $to:tt) => {
        $crate::delegate_store! {
            @try claim_of 'life1 'life2, (
                tenant: &'life1 $crate::model::TenantId,
                request: &'life2 $crate::store::ClaimRequest
            ) -> $crate::store::Claimed, $to
        }
    };
    (@settle $to:tt) => {
        $crate::delegate_store! {
            @try settle 'life1, (settlements: &'life1 [$crate::store::Settlement])
            -> ::std::vec::Vec<$crate::store::Settled>, $to
        }
    };
    (@release $to:tt) => {
        $crate::delegate_store! { @try release, (holder: $crate::store::HolderId) -> (), $to }
    };
    (@wake $to:tt) => {
        $crate::delegate_store! { @write wake, (since: $crate::store::WakeMark) -> (), $to }
    };
    (@poll_every [$this:ident, $inner:expr, $($outer:tt)*]) => {
        fn poll_every(&$this) -> ::std::option::Option<::std::time::Duration> {
            $crate::store::Store::poll_every(&$inner)
        }
    };
    (@event $to:tt) => {
        $crate::delegate_store! {
            @try event 'life1 'life2,
            (tenant: &'life1 $crate::model::TenantId, id: &'life2 $crate::model::MessageId)
            -> ::std::option::Option<$crate::store::EventRecord>, $to
        }
    };
    (@messages $to:tt) => {
        $crate::delegate_store! {
            @try messages 'life1 'life2,
            (tenant: &'life1 $crate::model::TenantId, query: &'life2 $crate::model::MessageQuery)
            -> $crate::model::Page<$crate::model::MessageRecord>, $to
        }
    };
    (@deliveries $to:tt) => {
        $crate::delegate_store! {
            @try deliveries 'life1 'life2,
            (tenant: &'life1 $crate::model::TenantId, query: &'life2 $crate::model::DeliveryQuery)
            -> $crate::model::Page<$crate::model::Delivery>, $to
        }
    };
    (@attempts $to:tt) => {
        $crate::delegate_store! {
            @try attempts 'life1 'life2,
            (tenant: &'life1 $crate::model::TenantId, deliveries: &'life2 [$crate::model::DeliveryId])
            -> ::std::vec::Vec<::std::option::Option<::std::vec::Vec<$crate::model::Attempt>>>, $to
        }
    };
    (@stats $to:tt) => {
        $crate::delegate_store! {
            @try stats 'life1, (scope: &'life1 $crate::store::StatsScope) -> $crate::store::Stats, $to
        }
    };
    (@count $to:tt) => {
        $crate::delegate_store! {
            @try count 'life1, (holder: $crate::store::HolderId, counts: &'life1 [$crate::store::Counted]) -> (), $to
        }
    };
    (@statistics $to:tt) => {
        $crate::delegate_store! {
            @try statistics 'life1, (
                tenant: &'life1 $crate::model::TenantId,
                hook_id: $crate::model::HookId,
                since: $crate::model::Timestamp
            ) -> ::std::option::Option<$crate::store::Statistics>, $to
        }
    };
    (@tend $to:tt) => {
        $crate::delegate_store! {
            @try tend 'life1, (request: &'life1 $crate::store::TendRequest) -> $crate::store::Tended, $to
        }
    };
    (@erase $to:tt) => {
        $crate::delegate_store! {
            @try erase 'life1, (tenant: &'life1 $crate::model::TenantId, limit: ::std::primitive::usize)
            -> $crate::store::Erased, $to
        }
    };
}
