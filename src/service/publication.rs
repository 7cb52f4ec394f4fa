use super::publishing::new_message_id;
use crate::clock::{Clock, SystemClock};
use crate::model::{Event, TenantId};

impl Event {
    /// The text that publishes this event of `tenant` by SQL, within a transaction of the host's own: the one
    /// parameter of the statement of a store that offers this, as `hookwire-postgres` does.
    ///
    /// It is JSON, and holds the payload byte for byte. The message id is fixed here: the event's own, or a
    /// new one. So make the text once, before the transaction, and use the same for each try: what was
    /// committed although the answer to the commit was lost is not published again. An event without a time
    /// gets that of the database when it is published.
    ///
    /// ```
    /// use hookwire::model::MessageId;
    /// use hookwire::{assist, Event, TenantId};
    ///
    /// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?
    ///     .message_id(MessageId::new("lab-4-online-17")?);
    /// let parameter = event.to_publication(&TenantId::new("acme")?);
    /// assert_eq!(
    ///     parameter,
    ///     r#"{"tenant":"acme","message_id":"lab-4-online-17","event_id":13,"payload":{"deviceName":"LAB-4"}}"#
    /// );
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Nothing is checked that only the service knows: an event that the catalog does not have ends in the log
    /// with that reason.
    pub fn to_publication(&self, tenant: &TenantId) -> String {
        self.document(tenant, || new_message_id(SystemClock.now().as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventId;

    #[test]
    fn each_text_of_an_event_without_an_id_is_an_event_of_its_own() {
        let (event, acme) = (Event::new(EventId::new(1), &1), TenantId::new("acme").expect("valid"));
        let event = event.expect("serialises");
        let texts = [event.to_publication(&acme), event.to_publication(&acme)];
        assert!(texts.iter().all(|text| text.contains(r#""message_id":"msg_0"#)), "{texts:?}");
        assert_ne!(texts[0], texts[1]);
    }
}
