// One or two videos that play as one: the longest leads, and the others follow its time.

const NEAR_S = 0.015, FAR_S = 0.25, MOST_NUDGE = 0.15;
const SPEEDS = [0.25, 0.5, 1, 2];
const HAVE_FUTURE_DATA = 3;

/** A video element that has begun to load. */
function loaded(media) {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, preload: "auto", disablePictureInPicture: true });
  video.setAttribute("playsinline", ""); // iOS reads the attribute
  video.src = `/media/${media}`;
  video.load();
  return video;
}

export class Player {
  /** `changed()` hears of everything that the controls show; `ready()` when all videos can play. */
  constructor(place, { changed, ready, failed }) {
    Object.assign(this, { place, changed, ready, failed, videos: [], clips: [], cache: new Map() });
    Object.assign(this, { playing: false, looping: true, speed: 1, isReady: false });
    const tick = () => { this.follow(); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }

  /** Loads the videos of coming tasks, and forgets others. */
  prepare(clipLists) {
    const wanted = new Set([...this.clips, ...clipLists.flat()].map((clip) => clip.media));
    for (const media of wanted) if (!this.cache.has(media)) this.cache.set(media, loaded(media));
    for (const [media, video] of this.cache) {
      if (!wanted.has(media)) { video.removeAttribute("src"); video.load(); this.cache.delete(media); }
    }
  }

  show(clips, names) {
    const same = clips.length === this.clips.length && clips.every((clip, i) => clip.media === this.clips[i].media);
    if (same && this.videos.length) return;
    this.videos.forEach((video) => video.pause());
    this.clips = clips;
    this.prepare([clips]);
    this.videos = clips.map((clip) => this.cache.get(clip.media));
    this.isReady = false;
    this.place.dataset.count = clips.length;
    this.place.dataset.shape = clips[0].width >= clips[0].height ? "wide" : "tall";
    this.place.replaceChildren(...clips.map((clip, i) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      caption.textContent = names[i] ?? "";
      this.videos[i].width = clip.width;
      this.videos[i].height = clip.height;
      this.videos[i].onerror = () => this.failed();
      this.videos[i].onclick = () => this.toggle();
      figure.append(caption, this.videos[i]);
      return figure;
    }));
    for (const video of this.videos) video.currentTime = 0;
    this.playing = true;
    this.start();
    this.changed();
  }

  /** Plays each video for itself: some browsers of phones load nothing before. */
  start() {
    for (const video of this.videos) video.play().catch((error) => this.stopped(error));
  }

  /** Loads the shown videos again, after an error. */
  reload() {
    for (const clip of this.clips) this.cache.delete(clip.media);
    const { clips } = this, names = [...this.place.querySelectorAll("figcaption")].map((each) => each.textContent);
    this.clips = [];
    this.show(clips, names);
  }

  get leader() {
    return this.videos.reduce((a, b) => ((b.duration || 0) > (a.duration || 0) ? b : a), this.videos[0]);
  }

  get time() { return this.leader?.currentTime ?? 0; }

  get duration() { return this.leader?.duration || 0; }

  /** Keeps the videos together; called for every picture of the screen. */
  follow() {
    if (!this.videos.length) return;
    const able = this.videos.every((video) => video.ended || video.readyState >= HAVE_FUTURE_DATA);
    if (!this.isReady) {
      if (!able) return;
      this.isReady = true;
      this.seek(0);
      this.ready();
    }
    if (this.playing && this.videos.every((video) => video.ended)) {
      if (this.looping) this.seek(0); else this.playing = false;
      this.changed();
    }
    const { leader } = this;
    for (const video of this.videos) {
      const running = this.playing && able && !video.ended;
      if (running && video.paused) video.play().catch((error) => this.stopped(error));
      if (!running && !video.paused) video.pause();
      const ahead = video === leader || leader.ended ? 0 : video.currentTime - leader.currentTime;
      if (running && Math.abs(ahead) > FAR_S) video.currentTime = leader.currentTime;
      const nudge = Math.abs(ahead) > NEAR_S ? Math.max(-MOST_NUDGE, Math.min(MOST_NUDGE, 2 * ahead)) : 0;
      video.playbackRate = this.speed * (1 - nudge);
    }
    if (this.playing) this.changed();
  }

  /** A browser that lets no page play by itself waits for the first click; a pause is no such refusal. */
  stopped(error) {
    if (error.name !== "NotAllowedError") return;
    this.playing = false;
    this.changed();
  }

  toggle() {
    if (!this.playing && this.videos.every((video) => video.ended)) this.seek(0);
    this.playing = !this.playing;
    if (this.playing && !this.isReady) this.start();
    if (!this.playing) this.pause();
    this.changed();
  }

  /** Stops all videos at the time of the leading one. */
  pause() {
    this.playing = false;
    this.videos.forEach((video) => video.pause());
    this.seek(this.time);
  }

  seek(seconds) {
    for (const video of this.videos) video.currentTime = Math.min(seconds, video.duration || 0);
    this.changed();
  }

  /** Moves by frames of the leading video, to the middle of a frame, where no rounding matters. */
  step(count) {
    this.pause();
    const fps = this.clips[this.videos.indexOf(this.leader)].fps;
    const last = Math.max(0, Math.round(this.duration * fps) - 1);
    const frame = Math.max(0, Math.min(last, Math.floor(this.time * fps + 1e-3) + count));
    this.seek((frame + 0.5) / fps);
  }

  faster(count) {
    const place = SPEEDS.indexOf(this.speed) + count;
    this.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, place))];
    this.changed();
  }

  nextSpeed() {
    this.speed = SPEEDS[(SPEEDS.indexOf(this.speed) + 1) % SPEEDS.length];
    this.changed();
  }

  loop() { this.looping = !this.looping; this.changed(); }
}
