//! [`Texts`]: every word of the page.

use std::borrow::Cow;

/// Defines the texts with their English words.
macro_rules! texts {
    ($($name:ident: $english:literal,)*) => {
        /// Every text of the page, each of which a host may replace. [`Default`] has them in English.
        ///
        /// Names of events are those of the catalog. What is wrong with an input is told by
        /// [`Page::told_by`](super::Page::told_by).
        ///
        /// ```
        /// use hookwire_axum::page::Texts;
        ///
        /// let mut texts = Texts::default();
        /// texts.lang = "de".into();
        /// texts.webhooks = "Webhooks deines Kontos".into();
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Texts {
            $(#[doc = concat!("In English: `", $english, "`")] pub $name: Cow<'static, str>,)*
        }

        impl Default for Texts {
            fn default() -> Self {
                Self { $($name: Cow::Borrowed($english),)* }
            }
        }
    };
}

texts! {
    lang: "en",
    dir: "ltr",
    webhooks: "Webhooks",
    add_webhook: "Add Webhook",
    no_webhooks: "There are no webhooks yet.",
    used: "in use, of at most",
    limit_reached: "There are as many webhooks as there may be. Delete one to add another.",
    name: "Name",
    description: "Description",
    callback_url: "Callback URL",
    callback_url_hint: "An https URL of your service. Each event is sent to it as a POST.",
    source_id: "Source ID",
    source_id_hint: "Events that this source has caused are not sent, so that two systems do not answer each other for ever.",
    ping_url: "Ping URL",
    select_event: "Select Event",
    departments: "Departments",
    departments_hint: "None chosen: every department.",
    ping_event: "Ping Event",
    event_to_test: "Event to test",
    sent: "What is sent",
    answered: "What was answered",
    status: "Status",
    health: "Health",
    enabled: "Enabled",
    disabled: "Disabled",
    paused: "Paused",
    healthy: "Answers",
    failing_since: "Fails since",
    create_webhook: "Create Webhook",
    save: "Save",
    cancel: "Cancel",
    edit: "Edit",
    enable: "Enable",
    disable: "Disable",
    pause: "Pause",
    resume: "Resume",
    delete: "Delete",
    delete_question: "Delete this webhook? What waits for it is cancelled.",
    correct: "Please correct what is marked.",
    refused: "This was not done.",
    saved: "Saved.",
    secret: "Secret",
    secret_once: "Copy it now: it is shown only where somebody asks for it.",
    secret_use: "The receiver verifies each request with it:",
    reveal: "Show the secret",
    rotate: "Replace the secret",
    check_receiver: "Check receiver",
    check_hint: "Sends marked tests: authentic ones, and forgeries that the receiver must refuse.",
    passed: "The receiver verifies what it gets.",
    deliveries: "Deliveries",
    no_deliveries: "Nothing was sent that matches.",
    all: "All",
    state: "State",
    event: "Event",
    time: "Time",
    message: "Message",
    attempts: "Attempts",
    took: "Took",
    answer: "Answer",
    next_attempt: "Next attempt",
    manage_parameters: "Manage Parameters",
    parameters_hint: "The JSON that is sent, with parameters in quotes. Empty: the usual body.",
    whole_webhook: "All events",
    not_in_sample: "is not in the sample. Where a payload lacks it, null is sent.",
    created_already: "A webhook was created from this form. Create another one?",
    beautify: "Beautify",
    preview: "Preview",
    insert_params: "Insert Params",
    last_days: "Attempts of the last 7 days",
    succeeded: "succeeded, of",
    redeliver: "Send again",
    recover: "Send again what was given up since",
    recover_hint: "A day, such as 2026-01-31, or a time, such as 2026-01-31T08:00:00Z.",
    recover_from_here: "Send again what was given up from here on",
    recover_begun: "Deliveries made anew:",
    count: "Count",
    at_least: "At least",
    given_up: "were given up. What was sent again since is not sent a third time.",
    no_time: "This is no day, and no time.",
    under_way: "More are being made.",
    ended: "That is all.",
    refresh: "Refresh",
    too_many: "As many as may be are under way. Wait for one, or cancel it.",
    this_attempt: "This attempt",
    last_good: "The last that succeeded",
    older: "Older",
    explain: "Explain",
    explain_hint: "The id of a message, as in the header `webhook-id`.",
    dry_run: "Dry run",
    dry_run_hint: "Shows which webhooks would get an event, and why the others would not. Nothing is sent.",
    no_event: "This is no event: its payload must be JSON, its department a number.",
    would_be_sent: "would get it",
    department: "Department",
    payload: "Payload",
    not_found: "There is no such thing.",
    addresses: "Requests come from these addresses:",
    signed_out: "You are signed out. Sign in again in another tab, and then send this once more: nothing of it is lost.",
    sign_in: "Sign in",
    send_once_more: "Send once more",
    forbidden: "The request did not come from this page.",
    pending: "pending",
    cancelled: "cancelled",
    delivered: "delivered",
    erased: "erased",
    exhausted: "given up",
    expired: "expired",
}
