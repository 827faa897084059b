// Classifies photos on Android. In app/build.gradle:
//     implementation 'com.google.mediapipe:tasks-vision:latest.release'
// and copy FILE and nothing else into app/src/main/assets: its labels and the range of its
// input are inside the file.

import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier.ImageClassifierOptions

class Classify(context: Context) {
    private val classifier = ImageClassifier.createFromOptions(
        context,
        ImageClassifierOptions.builder()
            .setBaseOptions(BaseOptions.builder().setModelAssetPath("FILE").build())
            .setMaxResults(1)
            .setScoreThreshold(THRESHOLDf)  // Less sure answers are no answers.
            .build()
    )

    /** The class of a photo and its score; null if it is unknown. CROP */
    fun classify(photo: Bitmap): Pair<String, Float>? {
        val result = classifier.classify(BitmapImageBuilder(photo).build())
        val best = result.classificationResult().classifications()[0].categories().firstOrNull()
        return best?.let { it.categoryName() to it.score() }
    }
}
