/* A browser starts no worker for a page that was opened from a folder. There an unseen frame does the worker's work, so
   that search needs no server either. mkdocs-material's `offline` would load such a file from another host. */
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      addEventListener("message", event => {
        if (event.source !== this.frame.contentWindow) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      this.ready = new Promise(done => {
        const inside = this.frame.contentDocument;
        inside.open();
        inside.write(`<body><script>
          postMessage = data => parent.postMessage(data, "*");
          importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise(loaded => {
            const script = document.createElement("script");
            script.src = url;
            script.onload = loaded;
            document.body.append(script);
          })), Promise.resolve());
        <\/script>`);
        const script = inside.createElement("script");
        script.src = url;
        script.onload = done;
        inside.body.append(script);
        inside.close();
      });
    }
    postMessage(data) { // the frame's own function of that name is the worker's, which answers
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() { this.frame.remove(); }
  };
