//! The limits on what a tenant may register.

/// The limits on what a tenant may register.
///
/// ```
/// use hookwire::registry::Limits;
///
/// let limits = Limits::default().with_webhooks(50);
/// assert_eq!((limits.webhooks(), limits.webhooks_per_event()), (50, 10));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    webhooks: usize,
    webhooks_per_event: usize,
    name_chars: usize,
    desc_chars: usize,
    url_chars: usize,
    subscriptions: usize,
    departments: usize,
}

impl Limits {
    /// Sets the maximum number of webhooks of a tenant, including disabled ones. Default 20, as in Zoho Assist.
    #[must_use]
    pub fn with_webhooks(self, webhooks: usize) -> Self {
        Self { webhooks, ..self }
    }

    /// Sets the maximum number of webhooks of a tenant that subscribe to the same event, including disabled ones.
    /// Default 10, as in Zoho Assist.
    #[must_use]
    pub fn with_webhooks_per_event(self, webhooks_per_event: usize) -> Self {
        Self { webhooks_per_event, ..self }
    }

    /// Sets the maximum number of characters of a name. Default 100; the Zoho family has 50 to 150.
    #[must_use]
    pub fn with_name_chars(self, name_chars: usize) -> Self {
        Self { name_chars, ..self }
    }

    /// Sets the maximum number of characters of a description. Default 250, as in Zoho Connect.
    #[must_use]
    pub fn with_desc_chars(self, desc_chars: usize) -> Self {
        Self { desc_chars, ..self }
    }

    /// Sets the maximum number of characters of a callback URL. Default 2048, our choice; the Zoho family has 200 to 500.
    #[must_use]
    pub fn with_url_chars(self, url_chars: usize) -> Self {
        Self { url_chars, ..self }
    }

    /// Sets the maximum number of subscriptions of a webhook. Default 100, our choice: Zoho Assist has 18 events, and a
    /// webhook subscribes to each at most once. Subscriptions beyond the limit are not checked.
    #[must_use]
    pub fn with_subscriptions(self, subscriptions: usize) -> Self {
        Self { subscriptions, ..self }
    }

    /// Sets the maximum number of departments that a subscription lists. Default 250, our choice: a webhook for more
    /// can subscribe for all. Departments beyond the limit are not checked.
    #[must_use]
    pub fn with_departments(self, departments: usize) -> Self {
        Self { departments, ..self }
    }

    /// Returns the maximum number of webhooks of a tenant.
    pub const fn webhooks(&self) -> usize {
        self.webhooks
    }

    /// Returns the maximum number of webhooks of a tenant that subscribe to the same event.
    pub const fn webhooks_per_event(&self) -> usize {
        self.webhooks_per_event
    }

    /// Returns the maximum number of characters of a name.
    pub const fn name_chars(&self) -> usize {
        self.name_chars
    }

    /// Returns the maximum number of characters of a description.
    pub const fn desc_chars(&self) -> usize {
        self.desc_chars
    }

    /// Returns the maximum number of characters of a callback URL.
    pub const fn url_chars(&self) -> usize {
        self.url_chars
    }

    /// Returns the maximum number of subscriptions of a webhook.
    pub const fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Returns the maximum number of departments that a subscription lists.
    pub const fn departments(&self) -> usize {
        self.departments
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            webhooks: 20,
            webhooks_per_event: 10,
            name_chars: 100,
            desc_chars: 250,
            url_chars: 2048,
            subscriptions: 100,
            departments: 250,
        }
    }
}
