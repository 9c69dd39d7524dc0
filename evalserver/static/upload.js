// Sends the files of a submission in pieces that can be interrupted (tus). Without this script the form posts them.
"use strict";

(() => {
  const form = document.getElementById("submission-form");
  if (!form || !window.tus || !window.tus.isSupported) return;
  const PIECE = 16 * 2 ** 20;
  const RETRY_DELAYS = [0, 1000, 2000, 4000, 8000, ...Array(200).fill(15000)];
  const RETRIED = [409, 423, 429];
  // A connection that a router has forgotten says nothing; the browser itself would wait for a quarter of an hour.
  const STALL_S = Number(form.dataset.stallSeconds || 90);
  const note = document.getElementById("submit-note");
  const stop = document.getElementById("stop-waiting");
  const csrf = form.querySelector("[name=csrfmiddlewaretoken]").value;

  const size = (bytes) => {
    const units = ["bytes", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 999.5 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${Number(bytes.toPrecision(3))} ${units[unit]}`;
  };
  const duration = (seconds) => {
    if (!Number.isFinite(seconds)) return "";
    const s = Math.max(1, Math.round(seconds));
    if (s < 60) return `${s} s left`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s left`;
    return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min left`;
  };

  // What a reader has asked of the whole form: editing, waiting (Submit was pressed, files are on their way) or sent.
  // Every change of a file's state and every press of a button ends in decide(), which alone moves between these.
  const NOTES = {
    editing: "Files are sent as soon as you choose them. An interrupted upload continues where it stopped, also after "
      + "closing this page: choose the same file again.",
    waiting: "Waiting for the files. The form submits by itself as soon as they have arrived. Keep this page open.",
    broken: "A file has stopped: press its Resume. The form submits by itself as soon as all files have arrived.",
    refused: "Not submitted: a file cannot be used. Read the line below it, and choose another file.",
    before: "You have sent this form before: “My submissions” shows it. Pressing the button makes another submission.",
    sent: "Submitting …",
  };
  let phase = "editing";
  let isTyped = false;
  let transfers = [];

  function decide() {
    let words = history.state?.isSent ? NOTES.before : NOTES.editing;
    if (phase === "waiting" && transfers.some((transfer) => transfer.isMissing || transfer.isUseless)) phase = "editing";
    if (transfers.some((transfer) => transfer.isUseless)) words = NOTES.refused;
    if (phase === "waiting" && transfers.every((transfer) => transfer.isReady)) {
      form.requestSubmit(); // comes through the submit event, unless the browser finds a field wrong
      if (phase === "waiting") phase = "editing";
    }
    const stopped = phase === "waiting" && transfers.some((transfer) => ["paused", "broken"].includes(transfer.state));
    if (phase !== "editing") words = NOTES[stopped ? "broken" : phase];
    if (note.textContent !== words) note.textContent = words;
    stop.hidden = phase !== "waiting";
    form.dataset.phaseOfForm = phase;
  }

  form.addEventListener("submit", (event) => {
    if (phase === "sent") { event.preventDefault(); return; }
    for (const transfer of transfers) transfer.pickUp();
    if (transfers.every((transfer) => transfer.isReady)) phase = "sent";
    else { event.preventDefault(); phase = "waiting"; }
    // Of this page in the browser's history, so that who comes back to it is told.
    if (phase === "sent") history.replaceState({ isSent: true }, "");
    decide();
    transfers.find((transfer) => transfer.isMissing)?.ask();
  });
  // A file that was sent in pieces is not posted once more.
  form.addEventListener("formdata", (event) => {
    for (const transfer of transfers) if (transfer.state === "ready") event.formData.delete(transfer.input.name);
  });
  stop.addEventListener("click", () => { phase = "editing"; decide(); form.querySelector("[type=submit]").focus(); });
  form.addEventListener("input", () => { isTyped = true; });
  window.addEventListener("beforeunload", (event) => {
    if (phase !== "sent" && (isTyped || transfers.some((transfer) => transfer.state !== "empty"))) event.preventDefault();
  });
  // Who comes back finds the page as it was left, or a new one into which the browser puts text and files after this
  // script has run, without a change event.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) { phase = "editing"; isTyped = false; }
    for (const transfer of transfers) if (history.state?.isSent) transfer.release(); else transfer.pickUp();
    decide();
  });

  // One volume's file. States: empty, sending, retrying, paused, broken, checking, ready.
  class Transfer {
    constructor(field) {
      this.field = field;
      this.input = field.querySelector("input[type=file]");
      this.choice = field.querySelector(".before select");
      this.before = field.querySelector(".before");
      this.box = field.querySelector(".transfer");
      this.bar = this.box.querySelector("progress");
      this.text = this.box.querySelector(".transfer-text");
      this.state = "empty";
      this.input.addEventListener("change", () => this.begin());
      this.choice.addEventListener("change", () => { this.forgetComplaint(); this.chose(); decide(); });
      for (const button of this.box.querySelectorAll("button")) {
        button.addEventListener("click", () => this[button.dataset.act]());
      }
      setInterval(() => this.watch(), 1000);
      window.addEventListener("online", () => { if (this.state === "broken" && this.upload) this.resume(); });
      this.chose();
    }

    get isReady() { return ["empty", "ready"].includes(this.state) && this.choice.value !== ""; }

    get isMissing() { return this.state === "empty" && this.choice.value === ""; }

    // Neither sending the rest nor waiting helps.
    get isUseless() { return this.state === "broken" && this.isRefused; }

    ask() { this.input.required = true; this.input.reportValidity(); }

    pickUp() { if (this.isMissing && this.input.files.length) this.begin(); }

    // What the server said of the file before.
    forgetComplaint() {
      this.field.classList.remove("invalid");
      for (const line of this.field.querySelectorAll(":scope > .error")) line.hidden = true;
    }

    chose() {
      const isOther = this.state === "ready" ? this.choice.value !== this.option.value : this.isUseless && this.choice.value;
      if (isOther) {
        this.upload = null; // the file that was just sent stays in the list
        this.option = null;
        this.input.value = "";
        this.show("empty", "");
      }
      if (this.state === "empty") this.input.required = this.choice.value === "";
    }

    show(state, words) {
      const { activeElement } = document;
      this.state = state;
      this.field.dataset.state = state;
      this.box.dataset.state = state;
      this.box.hidden = state === "empty";
      this.text.textContent = words;
      const act = (name) => this.box.querySelector(`[data-act=${name}]`);
      act("pause").hidden = state !== "sending" && state !== "retrying";
      act("resume").hidden = (state !== "paused" && state !== "broken") || this.isRefused;
      if (this.box.hidden && this.box.contains(activeElement)) this.input.focus();
      else if (this.box.contains(activeElement) && activeElement.hidden) this.box.querySelector("button:not([hidden])").focus();
      decide();
    }

    async begin() {
      const file = this.input.files[0];
      if (!file) return;
      const before = this.upload;
      const upload = this.upload = file.size ? this.uploadOf(file) : null;
      this.isRefused = this.isPrepared = false;
      this.choice.value = "";
      this.option = null; // one that was sent before it stays in the list
      this.before.hidden = this.choice.options.length < 2;
      this.forgetComplaint();
      for (const hint of this.field.querySelectorAll(".unfinished")) hint.hidden = true;
      this.samples = [];
      if (upload) this.progressed(0, file.size);
      else this.refuse(`${file.name} is empty: it has 0 bytes. Choose the file of your segmentation.`);
      if (before) await before.abort().catch(() => {});
      if (!upload) return;
      const earlier = await upload.findPreviousUploads();
      if (this.upload !== upload) return; // another file was chosen, or this one removed, meanwhile
      if (earlier.length) upload.resumeFromPreviousUpload(earlier[0]);
      this.isPrepared = true;
      if (this.state === "sending") upload.start();
    }

    refuse(words) { this.isRefused = true; this.bar.value = 0; this.show("broken", words); }

    // tus calls back from requests that were on their way when a file was paused, removed or replaced: those calls
    // must not move the state.
    uploadOf(file) {
      const running = () => this.upload === upload && (this.state === "sending" || this.state === "retrying");
      const upload = new tus.Upload(file, {
        endpoint: form.dataset.tusUrl,
        chunkSize: PIECE,
        retryDelays: RETRY_DELAYS,
        removeFingerprintOnSuccess: true,
        metadata: {
          filename: file.name, benchmark: form.dataset.benchmark, phase: form.dataset.phase, volume: this.field.dataset.volume,
          team: form.elements.team ? form.elements.team.value : "",
        },
        fingerprint: async () => ["axonem", form.dataset.user, form.dataset.benchmark, this.field.dataset.volume,
          file.name, file.size, file.lastModified].join("/"),
        onBeforeRequest: (request) => request.setHeader("X-CSRFToken", csrf),
        onShouldRetry: (error) => {
          const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
          const again = status === 0 || status >= 500 || RETRIED.includes(status);
          if (again && running()) this.waiting(status);
          return again;
        },
        onProgress: (sent, total) => { if (running()) this.progressed(sent, total); },
        onError: (error) => { if (running()) this.failed(error); },
        onSuccess: () => { if (this.upload === upload) this.check(); },
      });
      return upload;
    }

    progressed(sent, total) {
      const now = this.movedAt = performance.now() / 1000;
      this.samples.push([now, sent]);
      while (this.samples.length > 2 && now - this.samples[0][0] > 6) this.samples.shift();
      const [since, from] = this.samples[0];
      const speed = now > since ? (sent - from) / (now - since) : 0;
      this.bar.value = total ? Math.floor((1000 * sent) / total) : 0;
      const parts = [`${total ? Math.floor((100 * sent) / total) : 0}%`, `${size(sent)} of ${size(total)}`];
      if (speed > 0 && sent < total) parts.push(`${size(speed)}/s`, duration((total - sent) / speed));
      this.show("sending", parts.join(" · "));
    }

    waiting(status) {
      this.samples = [];
      this.show("retrying", status === 409 || status === 423
        ? "The server is still busy with the previous piece; trying again …"
        : "The server does not answer. What has arrived is kept; trying again …");
    }

    failed(error) {
      let words = "The connection is lost. What has arrived is kept; press Resume.";
      if (error.originalResponse) {
        try { words = JSON.parse(error.originalResponse.getBody()).message; } catch { /* no JSON: keep ours */ }
      }
      this.show("broken", words);
    }

    // Begin anew on another connection when no byte has gone through for long; the server knows how far it is.
    async watch() {
      const { upload } = this;
      if (!["sending", "retrying"].includes(this.state) || !this.isPrepared) return;
      if (performance.now() / 1000 - this.movedAt < STALL_S) return;
      this.samples = [];
      this.movedAt = performance.now() / 1000;
      this.show("retrying", `No byte was sent for ${STALL_S} s. What has arrived is kept; trying again …`);
      await upload.abort().catch(() => {});
      if (this.upload === upload && this.state === "retrying") upload.start();
    }

    pause() { this.upload.abort(); this.show("paused", `Paused at ${Math.floor(this.bar.value / 10)}%.`); }

    resume() { this.samples = []; this.movedAt = performance.now() / 1000; this.show("sending", "Going on …"); if (this.isPrepared) this.upload.start(); }

    async remove() {
      const { upload } = this;
      this.input.value = "";
      this.empty(this.option);
      if (upload) await upload.abort(true).catch(() => {}); // what cannot be removed expires
    }

    // option : one that is not to be chosen again.
    empty(option) {
      this.upload = this.option = null;
      option?.remove();
      this.choice.value = "";
      this.before.hidden = this.choice.options.length < 2;
      this.show("empty", "");
      this.chose();
    }

    // After the form was sent: a file that the submission has taken is sent again if the form is.
    async release() {
      const option = this.choice.selectedOptions[0];
      if (!option?.value || option.value.includes(".")) return; // the file of an earlier submission stays there
      const row = await this.row(option.value);
      if (row && row.state !== "ready" && option.selected) this.empty(option);
    }

    // What the server knows of an upload; null when it does not answer.
    async row(code) {
      try {
        const answer = await fetch(form.dataset.uploadsApi + code, { headers: { Accept: "application/json" } });
        if (answer.ok) return await answer.json();
        if (answer.status === 404) return { state: "gone", complaints: [] };
      } catch { /* the server restarts: ask again */ }
      return null;
    }

    async check() {
      const { upload } = this;
      const code = upload.url.split("/").pop();
      this.show("checking", "All bytes have arrived. Computing the checksum …");
      for (;;) {
        const row = await this.row(code);
        if (this.upload !== upload) return;
        if (row && row.state === "ready") { this.ready(row); return; }
        if (row && row.state !== "checking" && row.state !== "receiving") {
          this.refuse(row.complaints.length ? row.complaints[0].message : `The upload is ${row.state}. Remove it and send it again.`);
          return;
        }
        await new Promise((resume) => { setTimeout(resume, 700); });
      }
    }

    ready(row) {
      this.bar.value = 1000;
      this.option = new Option(row.file_name, row.code, true, true);
      this.choice.add(this.option);
      this.choice.value = row.code;
      this.input.required = false;
      this.show("ready", `Ready: ${row.file_name}, ${size(row.size_bytes)}, SHA-256 ${row.sha256.slice(0, 16)}…`);
    }
  }

  transfers = [...form.querySelectorAll(".field.upload")].map((field) => new Transfer(field));
  decide();
})();
