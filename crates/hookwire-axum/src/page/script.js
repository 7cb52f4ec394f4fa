// What the page does besides, where a browser lets it: results come in place, what is shown is kept up to date, and a button
// is pressed once. Everything works without it.
"use strict";
(() => {
    const MAX_FAILURES = 3;

    // Fetches a page of ours; null if that is none, as when the user is signed out.
    async function fetched(url, options) {
        const answer = await fetch(url, { credentials: "same-origin", ...options });
        const isPage = (answer.headers.get("content-type") || "").startsWith("text/html");
        if (answer.redirected || !isPage || answer.status === 401) return null;
        return new DOMParser().parseFromString(await answer.text(), "text/html");
    }

    // Replaces what an element holds by what the page has under the same id.
    function replace(element, page) {
        const fresh = page && page.getElementById(element.id);
        if (fresh) element.replaceWith(document.adoptNode(fresh));
        return fresh;
    }

    async function sendInPlace(form, button) {
        const result = document.getElementById("result");
        const body = new URLSearchParams(new FormData(form, button));
        button.setAttribute("aria-busy", "true");
        try {
            const page = await fetched(form.action, { method: "POST", body });
            const fresh = page && page.querySelector("#result > *") && replace(result, page);
            // What is refused stands beside the fields: the whole page has it.
            if (!fresh) return submitWhole(form, button);
            const shown = fresh.firstElementChild;
            shown.tabIndex = -1;
            shown.focus();
        } catch {
            submitWhole(form, button);
        } finally {
            button.removeAttribute("aria-busy");
        }
    }

    function submitWhole(form, button) {
        form.dataset.whole = "yes";
        form.requestSubmit(button);
    }

    document.addEventListener("submit", (event) => {
        const form = event.target;
        const button = event.submitter;
        if (form.dataset.sent) return event.preventDefault();
        if (button && "inPlace" in button.dataset && !form.dataset.whole) {
            event.preventDefault();
            if (!button.hasAttribute("aria-busy")) sendInPlace(form, button);
            return;
        }
        form.dataset.sent = "yes";
    });

    // A page that the browser has kept may be sent again.
    addEventListener("pageshow", () => {
        for (const form of document.forms) {
            delete form.dataset.sent;
            delete form.dataset.whole;
        }
    });

    // Keeps elements with `data-refresh`, a number of seconds, up to date while somebody looks and does nothing in them.
    function keepUpToDate(id, failures) {
        const element = document.getElementById(id);
        const seconds = element && Number(element.dataset.refresh);
        if (!seconds || failures >= MAX_FAILURES) return;
        setTimeout(async () => {
            const present = document.getElementById(id);
            const isInUse = present && (present.contains(document.activeElement) || present.querySelector("details[open]"));
            if (document.hidden || isInUse) return keepUpToDate(id, failures);
            const page = await fetched(location.href).catch(() => null);
            keepUpToDate(id, replace(present, page) ? 0 : failures + 1);
        }, seconds * 1000);
    }

    // Parameters are inserted where the cursor is.
    for (const listed of document.querySelectorAll("[data-param]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = listed.textContent;
        button.addEventListener("click", () => {
            const editor = document.getElementById("template");
            editor.setRangeText(button.textContent, editor.selectionStart, editor.selectionEnd, "end");
            editor.focus();
        });
        listed.replaceWith(button);
    }

    for (const element of document.querySelectorAll("[data-refresh]")) keepUpToDate(element.id, 0);
})();
