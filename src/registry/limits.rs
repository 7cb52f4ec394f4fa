/// How much a tenant may register.
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
    /// Sets the webhooks that a tenant may have, disabled ones counting. Default 20, as Zoho Assist.
    #[must_use]
    pub fn with_webhooks(self, webhooks: usize) -> Self {
        Self { webhooks, ..self }
    }

    /// Sets the webhooks of a tenant that may subscribe to one event, disabled ones counting. Default
    /// 10, as Zoho Assist.
    #[must_use]
    pub fn with_webhooks_per_event(self, webhooks_per_event: usize) -> Self {
        Self { webhooks_per_event, ..self }
    }

    /// Sets the characters of a name. Default 100; the Zoho family has 50 to 150.
    #[must_use]
    pub fn with_name_chars(self, name_chars: usize) -> Self {
        Self { name_chars, ..self }
    }

    /// Sets the characters of a description. Default 250, as Zoho Connect.
    #[must_use]
    pub fn with_desc_chars(self, desc_chars: usize) -> Self {
        Self { desc_chars, ..self }
    }

    /// Sets the characters of a callback URL. Default 2048, ours; the Zoho family has 200 to 500.
    #[must_use]
    pub fn with_url_chars(self, url_chars: usize) -> Self {
        Self { url_chars, ..self }
    }

    /// Sets the subscriptions of a webhook. Default 100, ours: Zoho Assist has 18 events, and each is subscribed to
    /// once. Of a draft with more, those beyond are not looked at.
    #[must_use]
    pub fn with_subscriptions(self, subscriptions: usize) -> Self {
        Self { subscriptions, ..self }
    }

    /// Sets the departments of a subscription, each time that one is named. Default 250, ours: who wants most
    /// departments can want all. Of a subscription with more, those beyond are not looked at.
    #[must_use]
    pub fn with_departments(self, departments: usize) -> Self {
        Self { departments, ..self }
    }

    /// Returns the webhooks that a tenant may have.
    pub const fn webhooks(&self) -> usize {
        self.webhooks
    }

    /// Returns the webhooks of a tenant that may subscribe to one event.
    pub const fn webhooks_per_event(&self) -> usize {
        self.webhooks_per_event
    }

    /// Returns the characters that a name may have.
    pub const fn name_chars(&self) -> usize {
        self.name_chars
    }

    /// Returns the characters that a description may have.
    pub const fn desc_chars(&self) -> usize {
        self.desc_chars
    }

    /// Returns the characters that a callback URL may have.
    pub const fn url_chars(&self) -> usize {
        self.url_chars
    }

    /// Returns the subscriptions that a webhook may have.
    pub const fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Returns the departments that a subscription may name.
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
