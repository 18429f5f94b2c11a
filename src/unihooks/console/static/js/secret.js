// Remember the language of code that was looked at last; without JavaScript, each page begins with the first one.
"use strict";

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-remember]");
  if (!form) return;
  const body = new URLSearchParams(new FormData(form));
  fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: true }).catch(() => {});
});
